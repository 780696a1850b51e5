"""Numbers that no experiment has, and the units that were probably meant."""

import pytest

from xraisim.core.errors import ConfigError, FormatError
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector
from xraisim.instrument.presets import PRESETS
from xraisim.instrument.ranges import DISTANCE, JOULE_PER_EV, require, require_reach


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ({"photon_energy_ev": 8.0}, r"photon energy is 8 eV; .*\(8 keV would be"),
        ({"photon_energy_ev": 8e3 * JOULE_PER_EV}, r".*\(1.28174e-15 J would be"),
    ],
)
def test_a_beam_in_another_unit_is_refused(values, meant):
    with pytest.raises(ConfigError, match=f"beam: {meant}"):
        Beam(**values)


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ({"distance_mm": 0.7}, r"distance is 0.7 mm; experiments have 5 to 30000 mm \(0.7 m or"),
        ({"pixel_size_mm": 75.0}, r"pixel size is 75 mm; .*\(75 µm would be"),
        ({"pixel_size_mm": 7.5e-5}, "7.5e-05 m"),
        ({"distance_mm": 1e9}, "experiments have"),
    ],
)
def test_a_detector_in_another_unit_is_refused(values, meant):
    with pytest.raises(ConfigError, match=f"detector: .*{meant}"):
        Detector(**values)


def test_presets_and_the_extremes_of_experiments_are_plausible():
    assert PRESETS  # all of them are checked as they are made
    for energy in (92.0, 1.6e3, 25e3, 80e3):
        Beam(photon_energy_ev=energy)
    for distance, pixel in ((30.0, 0.0135), (6000.0, 0.2), (20e3, 0.172)):
        Detector(distance_mm=distance, pixel_size_mm=pixel)


def test_the_unit_that_was_read_is_told():
    problem = DISTANCE.problem(700e3, "m")
    assert "distance is 700 m, which is 7e+05 mm" in problem
    assert "(700 mm or 700 cm would be" in problem
    assert not DISTANCE.problem(700.0, "m")
    assert DISTANCE.problem(float("nan"))
    with pytest.raises(FormatError, match=r"a\.cxi: photon energy is 8000 J, .*\(8000 eV would be"):
        require(
            "photon_energy_ev",
            8000 / JOULE_PER_EV,
            where="a.cxi",
            advice="mend it",
            unit="J",
            error=FormatError,
        )


def test_the_reach_of_a_detector_tells_a_diameter_in_nanometres():
    require_reach(0.05, 200.0)
    with pytest.raises(ConfigError, match=r"s·D is 0.1 .*\(2 nm would be plausible"):
        require_reach(0.05, 2.0)
    with pytest.raises(ConfigError, match=r"s·D is 1e\+05"):
        require_reach(0.05, 2e6)
