"""Presets: each makes a usable geometry that samples the speckles of a 400 Å particle."""

import numpy as np
import pytest

from xraisim.core import config
from xraisim.instrument.detector import Detector, geometry
from xraisim.instrument.presets import PRESETS, describe, preset
from xraisim.simulation.config import from_mapping

REAL = ("lcls-pnccd", "lcls-cspad", "lcls-epix10k2m", "euxfel-agipd1m", "jungfrau")


@pytest.mark.parametrize("name", REAL)
def test_real_detectors_sample_speckles_and_spare_the_beam(name):
    instrument = preset(name)
    seen = geometry(instrument.detector, instrument.beam)
    assert seen.s_step < 0.5 / 400
    assert len(seen.s) < 150_000
    assert np.hypot(*seen.position_mm[:, :2].T).min() > 2
    assert instrument.source


def test_the_pnccd_preset_has_the_resolution_of_its_experiment():
    instrument = preset("lcls-pnccd")
    seen = geometry(instrument.detector, instrument.beam)
    # the upper edge, 40.4 mm from the beam at 581 mm and 7.749 Å
    edge = np.abs(seen.position_mm[:, 0]) < 0.2
    angle = np.arctan((2 + 512 * 0.075) / 581)
    expected = 2 * np.sin(angle / 2) / instrument.beam.wavelength_angstrom
    assert np.linalg.norm(seen.s[edge], axis=1).max() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_the_configuration_file(name):
    made = from_mapping({"instrument": name})
    assert made.detector == preset(name).detector
    assert made.beam == preset(name).beam
    assert len(config.dumps(made)) < 4096


def test_descriptions_name_panels_pixels_and_binning():
    assert describe(Detector()) == "128 × 128 pixels of 0.7812 mm at 200 mm"
    assert describe(preset("euxfel-agipd1m").detector) == (
        "128 panels of 64 × 128 pixels of 0.2 mm at 705 mm, binned 4 × 4 to 65,536 pixels"
    )
