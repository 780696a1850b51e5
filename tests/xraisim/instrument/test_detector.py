import tomllib

import numpy as np
import pytest

from xraisim.core import config
from xraisim.core.errors import ConfigError, SamplingError
from xraisim.instrument.beam import Beam, FluenceSpread
from xraisim.instrument.detector import (
    Detector,
    MaskReason,
    geometry,
    pixel_positions,
    polarisation_factor,
    scattering_vectors,
)
from xraisim.instrument.panels import Panel
from xraisim.instrument.presets import preset


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
    total = geometry(Detector(), Beam()).solid_angle_sr.sum()
    half = width / 2
    exact = 4 * np.arcsin(half**2 / (half**2 + distance**2))
    assert total == pytest.approx(exact, rel=1e-5)


def test_the_flat_detector_is_exactly_the_textbook_one():
    seen, pixel = geometry(Detector(rows=5, columns=8), Beam()), 100 / 128
    y, x = (np.arange(5) - 2) * pixel, (np.arange(8) - 3.5) * pixel
    position = np.stack([np.tile(x, 5), np.repeat(y, 8), np.full(40, 200.0)], axis=1)
    np.testing.assert_array_equal(seen.position_mm, position)
    rho = np.linalg.norm(position, axis=1)
    np.testing.assert_array_equal(seen.solid_angle_sr, pixel**2 * 200.0 / rho**3)
    assert (seen.shape, seen.panel.max(), seen.reasons.max()) == ((5, 8), 0, 0)


def test_the_largest_step_of_a_flat_detector_is_at_its_centre():
    beam, detector = Beam(), Detector()
    step = detector.pixel_size_mm / detector.distance_mm / beam.wavelength_angstrom
    assert geometry(detector, beam).s_step == pytest.approx(step, rel=1e-5)


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
        ({"mask_file": "absent.npy"}, ConfigError, "absent.npy: No such file"),
        ({"distance_mm": -1}, ConfigError, "distance_mm is -1"),
        ({"binning": 0}, ConfigError, "binning is 0"),
        ({"binning": 200}, ConfigError, "panel 'flat': rows is 0"),
        ({"saturation_photons": -1}, ConfigError, "saturation_photons is -1"),
        ({"s_min_per_angstrom": 0.1, "s_max_per_angstrom": 0.05}, ConfigError, "the larger"),
    ],
)
def test_impossible_detectors_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        geometry(Detector(**settings), Beam())


def halves(tilt=0.0) -> tuple[Panel, ...]:
    """Two panels of 8 × 16 pixels of 1 mm above and below a gap, turned about x by ``tilt``."""
    ss = (0.0, float(np.cos(tilt)), float(np.sin(tilt)))
    return tuple(
        Panel(
            name=name,
            rows=8,
            columns=16,
            corner_mm=(-8.0, y, 0.0),
            fs_mm=(1.0, 0.0, 0.0),
            ss_mm=ss,
        )
        for name, y in (("lower", -9.0), ("upper", 1.0))
    )


def test_panels_are_read_from_the_configuration():
    text = config.dumps(Detector(panels=halves(0.1), binning=2))
    assert config.from_mapping(Detector, tomllib.loads(text)) == Detector(
        panels=halves(0.1), binning=2
    )
    table = """
    [[panels]]
    name = "a"
    rows = 2
    columns = 3
    corner_mm = [0, 0, 0]
    fs_mm = [0.1, 0, 0]
    ss_mm = [0, 0.1, 0]
    """
    (panel,) = config.from_mapping(Detector, tomllib.loads(table)).panels
    assert (panel.rows, panel.fs_mm) == (2, (0.1, 0.0, 0.0))
    with pytest.raises(ConfigError, match=r"panels\[\]\.colums; did you mean panels\[\]\.columns"):
        config.from_mapping(Detector, tomllib.loads(table.replace("columns", "colums")))


def test_panels_take_the_place_of_the_flat_grid():
    seen = geometry(Detector(panels=halves(), distance_mm=100), Beam())
    assert seen.shape == (16, 16)
    np.testing.assert_array_equal(seen.panel, np.repeat([0, 1], 128))
    position = seen.position_mm.reshape(2, 8, 16, 3)
    np.testing.assert_allclose(position[:, 0, 0], [[-7.5, -8.5, 100], [-7.5, 1.5, 100]])
    assert np.abs(seen.position_mm[:, 1]).min() == pytest.approx(1.5)


def test_a_binned_pixel_collects_what_its_pixels_do():
    fine = geometry(Detector(panels=halves(0.3), distance_mm=100), Beam())
    coarse = geometry(Detector(panels=halves(0.3), distance_mm=100, binning=2), Beam())
    assert coarse.shape == (8, 8)
    together = fine.gain.reshape(2, 4, 2, 8, 2).sum(axis=(2, 4)).reshape(-1)
    np.testing.assert_allclose(coarse.gain, together, rtol=2e-4)


def test_a_mask_file_is_given_before_binning(tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[9, 3] = 1
    np.save(tmp_path / "mask.npy", mask)
    detector = Detector(panels=halves(), binning=4, mask_file=str(tmp_path / "mask.npy"))
    seen = geometry(detector, Beam())
    np.testing.assert_array_equal(np.flatnonzero(seen.mask), [8])


def test_every_reason_not_to_use_a_pixel_is_kept(tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[:8] = 1
    np.save(tmp_path / "mask.npy", mask)
    detector = Detector(
        panels=halves(),
        beamstop_radius_mm=3,
        s_max_per_angstrom=0.015,
        mask_file=str(tmp_path / "mask.npy"),
    )
    seen = geometry(detector, Beam())
    inside = np.hypot(*seen.position_mm[:, :2].T) < 3
    outside = np.linalg.norm(seen.s, axis=1) > 0.015
    expected = (
        MaskReason.BEAMSTOP * inside + MaskReason.RANGE * outside + MaskReason.FILE * mask.ravel()
    )
    np.testing.assert_array_equal(seen.reasons, expected)
    assert (inside & mask.ravel().astype(bool)).any()
    np.testing.assert_array_equal(seen.mask, expected > 0)


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
