import numpy as np
import pytest

from xraisim.core.config import from_mapping, to_mapping
from xraisim.core.errors import ConfigError
from xraisim.instrument.background import Background, mean_photons
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry

GEOMETRY = geometry(Detector(rows=6, columns=8, pixel_size_mm=9, beamstop_radius_mm=8), Beam())
USED = ~GEOMETRY.mask
RADIUS = np.linalg.norm(GEOMETRY.s, axis=1)


def test_there_is_none_by_default():
    assert (mean_photons(Background(), GEOMETRY) == 0).all()


def test_a_flat_background_is_the_same_on_every_usable_pixel():
    mean = mean_photons(Background(photons_per_pixel=0.2), GEOMETRY)
    assert mean.dtype == np.float64
    assert (mean[USED] == 0.2).all()
    assert (mean[~USED] == 0).all()
    assert 0 < (~USED).sum() < len(mean)


def test_an_exponential_background_falls_by_e_over_its_decay():
    background = Background(kind="exponential", photons_per_pixel=3.0, decay_per_angstrom=0.01)
    mean = mean_photons(background, GEOMETRY)[USED]
    slope, intercept = np.polyfit(RADIUS[USED], np.log(mean), 1)
    assert slope == pytest.approx(-100)
    assert np.exp(intercept) == pytest.approx(3.0)


def test_a_profile_is_linear_between_its_rows(tmp_path):
    file = tmp_path / "profile.txt"
    file.write_text("# s, photons\n0 0.4\n0.05 0.2\n0.2 0.2\n")
    mean = mean_photons(Background(kind="profile", file=str(file)), GEOMETRY)
    expected = np.maximum(0.4 - 4 * RADIUS, 0.2)
    assert np.allclose(mean[USED], expected[USED], rtol=1e-12)
    assert RADIUS[USED].max() > 0.05, "the flat part is tested too"


def test_an_image_is_taken_pixel_by_pixel(tmp_path):
    image = np.random.default_rng(0).uniform(0, 1, (6, 8)).astype(np.float32)
    image.reshape(-1)[~USED] = np.nan  # what a measured mean has where there is no pixel
    np.save(tmp_path / "mean.npy", image)
    mean = mean_photons(Background(kind="image", file=str(tmp_path / "mean.npy")), GEOMETRY)
    assert (mean[USED] == image.reshape(-1)[USED]).all()
    assert (mean[~USED] == 0).all()


@pytest.mark.parametrize(
    ("kind", "name", "content", "message"),
    [
        ("profile", "profile.txt", "0 1\n0.001 1\n", "the profile covers .* to 0.001 Å⁻¹"),
        ("profile", "profile.txt", "0 1 2\n1 1 2\n", "expected two columns"),
        ("profile", "profile.txt", "1 1\n0 1\n", "ascending"),
        ("profile", "profile.txt", "s photons\n", "could not convert"),
        ("profile", "profile.txt", "0 -1\n1 1\n", "negative or non-finite"),
        ("profile", "absent.txt", None, "absent.txt"),
        ("image", "mean.npy", np.zeros((8, 6)), r"shape \(8, 6\), the detector \(6, 8\)"),
        ("image", "mean.npy", np.full((6, 8), np.nan), "negative or non-finite"),
        ("image", "mean.npy", np.array([["a"] * 8] * 6), "could not convert"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, kind, name, content, message):
    if isinstance(content, str):
        (tmp_path / name).write_text(content)
    elif content is not None:
        np.save(tmp_path / name, content)
    with pytest.raises(ConfigError, match=message):
        mean_photons(Background(kind=kind, file=str(tmp_path / name)), GEOMETRY)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "radial"}, "expected one of flat, exponential, profile, image"),
        ({"photons_per_pixel": -1.0}, "photons_per_pixel is -1.0; expected at least 0"),
        ({"decay_per_angstrom": 0.0}, "decay_per_angstrom is 0.0"),
        ({"kind": "image"}, "need a file"),
        ({"file": "mean.npy"}, "the others have none"),
        ({"kind": "image", "file": "a.npy", "photons_per_pixel": 1.0}, "leave it out"),
    ],
)
def test_impossible_backgrounds_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Background(**settings)


def test_the_configuration_survives_a_round_trip():
    background = from_mapping(
        Background, {"photons_per_pixel": 0.1, "strength": {"distribution": "gamma", "shape": 4}}
    )
    assert background.strength.shape == 4
    assert from_mapping(Background, to_mapping(background)) == background
