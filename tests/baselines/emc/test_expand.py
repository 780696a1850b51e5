"""Slices of a particle whose intensity is known, and what templates hold of them."""

from dataclasses import replace

import pytest
import torch

from baselines.emc.expand import DARKEST, Detector, Known, Profile, along, share_rows, slices
from baselines.emc.harmonics import PhotonHarmonics, unpack
from xraisim.core import rotations
from xraisim.core.errors import SamplingError
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Volume


@pytest.fixture(scope="module")
def profile(particle, pixels):
    mean = particle.slices(
        pixels,
        torch.nn.functional.normalize(
            torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), dim=1
        ),
    )
    return Profile.of(pixels, pixels.gain * mean.mean(0), particle.diameter_angstrom)


@pytest.fixture(scope="module")
def detector(pixels, polar):
    return Detector.of(polar, PhotonHarmonics(polar), pixels)


@pytest.fixture(scope="module")
def foggy(pixels, polar):
    """The detector with background."""
    lit = replace(pixels, background=20 * pixels.gain)
    return Detector.of(polar, PhotonHarmonics(polar), lit)


def _harmonics(polar, rows):
    """Undo the packing of templates: complex [D, Q + 1, M + 1]."""
    return torch.view_as_complex(unpack(polar, rows)).conj()


def _at_points(polar, harmonics):
    """Σ Re C_m exp(imψ) on the points, of amplitudes."""
    weight = torch.bincount(polar.ring_of_point)[:, None]
    halved = torch.where(torch.arange(polar.highest + 1) > 0, 0.5, 1.0)
    return polar.inverse(harmonics * weight * halved)


def test_the_profile_is_photons_over_exposures(pixels):
    s = pixels.radius
    found = Profile.of(pixels, pixels.gain * (-60 * s).exp(), 60.0)
    within = (s > 0.012) & (s < 0.042)  # between the middles of the first and of the last shell
    torch.testing.assert_close(found.at(s)[within], (-60 * s[within]).exp(), rtol=0.1, atol=0)
    beyond = found.at(torch.tensor([0.0, 2 * float(s[-1])]))
    torch.testing.assert_close(beyond, found.values[[0, -1]], rtol=1e-3, atol=0)
    with pytest.raises(SamplingError, match="no photons above the background"):
        Profile.of(pixels, -pixels.gain, 60.0)


def test_shells_without_photons_are_bridged(pixels):
    s = pixels.radius
    edges = Profile.of(pixels, pixels.gain, 60.0).radius
    dark = (s > edges[1] - 1e-6) & (s < edges[2] - 1e-6)
    assert dark.any()
    found = Profile.of(pixels, pixels.gain.where(~dark, 0), 60.0)
    torch.testing.assert_close(found.at(s), torch.ones_like(s), rtol=1e-4, atol=0)


def test_slices_are_the_intensity_on_the_points(particle, polar, profile, cube, orientations):
    frames = orientations.frames[::3]
    found = slices(cube, profile, polar, frames, float(polar.radius[-1]))
    exact = particle.intensity(polar.points @ rotations.to_matrix(frames))
    error = (found - exact).square().mean() / exact.square().mean()
    assert float(error.sqrt()) < 0.03
    assert (found > 0).all()


def test_slices_of_a_ball_are_radial(polar, profile, cube, orientations):
    """Division by the profile and multiplication with it cancel: a smooth ball is exact."""
    radial = Volume(values=profile.at(_radius(cube)), spacing=cube.spacing, kind="intensity")
    found = slices(radial, profile, polar, orientations.frames[:2], float(polar.radius[-1]))
    expected = profile.at(polar.radius)[polar.ring_of_point].expand_as(found)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def _radius(cube):
    axis = (torch.arange(cube.grid) - cube.grid // 2) * cube.spacing
    return (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()


def test_beyond_what_is_known_slices_are_the_profile(polar, profile, cube, orientations):
    known = float(polar.radius[5])
    found = slices(cube, profile, polar, orientations.frames[:3], known)
    beyond = polar.ring_of_point > 5
    expected = profile.at(polar.radius)[polar.ring_of_point]
    torch.testing.assert_close(found[:, beyond], expected[beyond].expand(3, -1), rtol=1e-6, atol=0)
    assert (found[:, ~beyond] - expected[~beyond]).abs().max() > 0.1 * expected.max()


def test_templates_are_never_dark(polar, profile, cube, orientations):
    dark = replace(cube, values=torch.zeros_like(cube.values))
    found = slices(dark, profile, polar, orientations.frames[:1], float(polar.radius[-1]))
    floor = DARKEST * profile.at(polar.radius)[polar.ring_of_point]
    torch.testing.assert_close(found[0], floor, rtol=1e-5, atol=0)


def test_the_exposure_ring_is_the_sum_of_gain_and_slice(
    pixels, polar, profile, detector, cube, orientations
):
    """At angle 0, Σ Re C_m is the photons that the pixels expect at fluence 1."""
    frames = orientations.frames
    known = Known(s_max_per_angstrom=float(polar.radius[-1]), fluence=1.0)
    rows = along(cube, profile, polar, detector, frames, known)
    found = _harmonics(polar, rows)[:, -1].real.sum(1)
    flat = cube.values / profile.at(_radius(cube))
    cut = slice_volume(flat, rotations.to_matrix(frames), pixels.s, cube.spacing)
    exact = (cut * profile.at(pixels.radius) * pixels.gain).sum(1)
    torch.testing.assert_close(found, exact, rtol=0.01, atol=0)
    assert float((found / exact - 1).mean().abs()) < 5e-3


def test_rings_hold_the_logarithm(polar, profile, detector, cube, orientations):
    frames = orientations.frames[:4]
    known = Known(s_max_per_angstrom=float(polar.radius[-1]), fluence=1.0)
    rows = along(cube, profile, polar, detector, frames, known)
    found = _at_points(polar, _harmonics(polar, rows)[:, :-1])
    cut = slices(cube, profile, polar, frames, known.s_max_per_angstrom)
    # band-limited: right where photons are, wrong in the dark where the logarithm is sharp
    error = ((found - cut.log()) * cut).square().sum() / cut.square().sum()
    assert float(error.sqrt()) < 0.05


def test_unknown_rings_tell_nothing(polar, profile, detector, cube, orientations):
    known = Known(s_max_per_angstrom=float(polar.radius[4]), fluence=1.0)
    rows = along(cube, profile, polar, detector, orientations.frames[:3], known)
    found = _harmonics(polar, rows)
    assert (found[:, 5:-1] == 0).all()
    assert (found[:, 4, 0] != 0).all()


def test_the_detector_on_the_rings(pixels, polar, detector, foggy):
    total = float(detector.gain[:, 0].real.sum())
    assert total == pytest.approx(float(pixels.gain.sum()), rel=1e-5)
    assert not detector.has_background
    assert foggy.has_background
    torch.testing.assert_close(
        foggy.background, torch.full_like(foggy.background, 20.0), rtol=1e-3, atol=0
    )
    rate = torch.full((1, len(foggy.background)), 30.0)
    torch.testing.assert_close(foggy.lit(rate, 2.0), rate * 2 + 20, rtol=1e-3, atol=0)
    torch.testing.assert_close(foggy.share(rate, 2.0), rate * 0 + 0.75, rtol=1e-3, atol=0)
    torch.testing.assert_close(detector.lit(rate, 2.0), rate, rtol=0, atol=0)


def test_shares_are_the_probability_of_signal(polar, profile, foggy, cube, orientations):
    frames = orientations.frames[:4]
    known = Known(s_max_per_angstrom=float(polar.radius[8]), fluence=1.3)
    found = _harmonics(polar, along(cube, profile, polar, foggy, frames, known, share_rows))
    cut = slices(cube, profile, polar, frames, known.s_max_per_angstrom)
    exact = 1.3 * cut / (1.3 * cut + foggy.background)
    inside = polar.ring_of_point <= 8
    error = (_at_points(polar, found[:, :-1]) - exact)[:, inside]
    assert float(error.square().mean().sqrt()) < 0.03
    assert (found[:, 9:] == 0).all()
