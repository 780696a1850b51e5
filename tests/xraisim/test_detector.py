import numpy as np
import pytest

from xraisim.beam import Beam, FluenceSpread
from xraisim.core.errors import ConfigError, SamplingError
from xraisim.detector import (
    Detector,
    geometry,
    pixel_positions,
    polarisation_factor,
    scattering_vectors,
    solid_angles,
)
from xraisim.instruments import preset


def test_scattering_vectors_lie_on_the_ewald_sphere():
    beam, position = Beam(), pixel_positions(Detector())
    s = scattering_vectors(position, beam.wavelength_angstrom)
    wave = np.array([0, 0, 1 / beam.wavelength_angstrom])
    np.testing.assert_allclose(np.linalg.norm(s + wave, axis=1), wave[2], rtol=1e-12)
    two_theta = np.arctan2(np.hypot(position[:, 0], position[:, 1]), position[:, 2])
    expected = 2 * np.sin(two_theta / 2) / beam.wavelength_angstrom
    np.testing.assert_allclose(np.linalg.norm(s, axis=1), expected, rtol=1e-9)


def test_columns_run_along_x_and_rows_along_y():
    position = pixel_positions(Detector(rows=3, columns=5)).reshape(3, 5, 3)
    assert (np.diff(position[..., 0], axis=1) > 0).all()
    assert (np.diff(position[..., 1], axis=0) > 0).all()
    np.testing.assert_allclose(position.mean((0, 1)), [0, 0, 200])


def test_solid_angles_add_up_to_that_of_the_square():
    width, distance = 100.0, 200.0
    total = solid_angles(pixel_positions(Detector()), width / 128).sum()
    half = width / 2
    exact = 4 * np.arcsin(half**2 / (half**2 + distance**2))
    assert total == pytest.approx(exact, rel=1e-5)


def test_polarisation_follows_its_closed_forms():
    angle = np.radians(30)
    along_x = np.array([[np.sin(angle), 0, np.cos(angle)]])
    along_y = along_x[:, [1, 0, 2]]
    assert polarisation_factor(along_x, "x") == pytest.approx(np.cos(angle) ** 2)
    assert polarisation_factor(along_y, "x") == pytest.approx(1)
    assert polarisation_factor(along_y, "y") == pytest.approx(np.cos(angle) ** 2)
    both = polarisation_factor(along_x, "unpolarised")
    assert both == pytest.approx((1 + np.cos(angle) ** 2) / 2)


def test_the_published_preset_has_its_published_figures():
    instrument = preset("xrai2025")
    assert instrument.beam.fluence_photons_per_um2 == pytest.approx(1.273e13, rel=1e-3)
    s = np.linalg.norm(geometry(instrument.detector, instrument.beam).s, axis=1)
    assert s.max() == pytest.approx(0.1246, abs=2e-4)


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean xrai2025\?"):
        preset("xrai2024")


def test_beamstop_range_and_mask_file_take_pixels_away(tmp_path):
    extra = np.zeros((128, 128), np.uint8)
    extra[:10] = 1
    np.save(tmp_path / "mask.npy", extra)
    detector = Detector(
        beamstop_radius_mm=3,
        s_min_per_angstrom=0.006,
        s_max_per_angstrom=0.08,
        mask_file=str(tmp_path / "mask.npy"),
    )
    seen = geometry(detector, Beam())
    radius = np.linalg.norm(seen.s, axis=1)
    good = seen.good
    assert radius[good].min() >= 0.006
    assert radius[good].max() <= 0.08
    assert np.hypot(*seen.position_mm[good, :2].T).min() >= 3
    assert good.min() >= 1280
    kept = (radius >= 0.006) & (radius <= 0.08) & (extra.reshape(-1) == 0)
    kept &= np.hypot(*seen.position_mm[:, :2].T) >= 3
    assert len(good) == kept.sum()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"s_min_per_angstrom": 0.5}, SamplingError, "no usable pixel is left"),
        ({"beamstop_radius_mm": 90}, SamplingError, "no usable pixel is left"),
        ({"mask_file": "absent.npy"}, ConfigError, "cannot read the mask"),
        ({"distance_mm": -1}, ConfigError, "distance_mm is -1"),
        ({"s_min_per_angstrom": 0.1, "s_max_per_angstrom": 0.05}, ConfigError, "the larger"),
    ],
)
def test_impossible_detectors_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        geometry(Detector(**settings), Beam())


def test_a_mask_of_the_wrong_shape_is_refused(tmp_path):
    np.save(tmp_path / "mask.npy", np.zeros((4, 4)))
    with pytest.raises(ConfigError, match=r"shape \(4, 4\), the detector \(128, 128\)"):
        geometry(Detector(mask_file=str(tmp_path / "mask.npy")), Beam())


@pytest.mark.parametrize(
    ("spread", "deviation"),
    [
        (FluenceSpread(distribution="constant"), 0.0),
        (FluenceSpread(distribution="lognormal", sigma=0.3), np.sqrt(np.exp(0.09) - 1)),
        (FluenceSpread(distribution="gamma", shape=2.0), np.sqrt(0.5)),
    ],
)
def test_fluence_has_mean_one_and_its_spread(spread, deviation):
    grid = (np.arange(200_000) + 0.5) / 200_000  # the inverse distribution, integrated
    fluence = spread.relative(grid)
    assert fluence.mean() == pytest.approx(1, abs=1e-3)
    assert fluence.std() == pytest.approx(deviation, abs=3e-3)
    assert (spread.draw(1, np.arange(5, 9)) == spread.draw(1, np.arange(9))[5:]).all()


@pytest.mark.parametrize("settings", [{"photon_energy_ev": 0.0}, {"polarisation": "circular"}])
def test_impossible_beams_are_refused(settings):
    with pytest.raises(ConfigError):
        Beam(**settings)
