"""From the sums of directions back to a volume."""

import math

import numpy as np
import pytest
import torch

from baselines.emc.compress import (
    ball_radii,
    ball_start,
    insert,
    polar_sums,
    random_start,
    relative_change,
    volume_of,
)
from baselines.emc.expand import Detector, Profile
from baselines.emc.harmonics import PhotonHarmonics
from baselines.emc.maximize import spread_entries_reference
from baselines.emc.orientations import OrientationGrid, oriented
from baselines.emc.polar import PolarGrid
from baselines.emc.posterior import Entries
from xraisim.core.fourier import radius, reciprocal, to_structure_factors
from xraisim.core.fsc import intensity_correlation
from xraisim.core.merge import Accumulator, intensity_grid
from xraisim.core.radial import radial_mean, shell_s
from xraisim.core.symmetry import point_group
from xraisim.core.types import Photons

C1 = point_group("C1")


def _exposed(polar, sparse, counts, fluence):
    """Packed rows with −φ in the exposure ring."""
    rows = PhotonHarmonics(polar)(sparse(counts))
    rows[:, polar.fluence_columns] = -fluence[:, None]
    return rows


def _sums(polar, directions, rows, columns, angle):
    """What patterns give to the directions, each certain of its orientation."""
    entries = Entries(
        offsets=torch.arange(len(columns) + 1),
        column=columns.int(),
        angle=angle.int(),
        weight=torch.ones(len(columns)),
    )
    sums = torch.zeros(directions, polar.width)
    spread_entries_reference(polar, rows, entries, sums)
    return sums


def test_photons_and_exposures_are_conserved(pixels, polar, sparse):
    draw = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.full((6, len(pixels)), 0.5), generator=draw)
    fluence = 0.5 + torch.rand(6, generator=draw)
    column = torch.tensor([0, 0, 1, 1, 1, 3])
    angle = torch.tensor([1, 4, 0, 2, 5, 9])
    detector = Detector.of(polar, PhotonHarmonics(polar), pixels)
    sums = _sums(polar, 4, _exposed(polar, sparse, counts, fluence), column, angle)
    photons, exposure = polar_sums(sums, polar, detector)
    expected = torch.zeros(4).index_add_(0, column, counts.sum(1))
    torch.testing.assert_close(photons.sum(1), expected, rtol=1e-4, atol=1e-2)
    expected = torch.zeros(4).index_add_(0, column, fluence) * pixels.gain.sum()
    torch.testing.assert_close(exposure.sum(1), expected, rtol=1e-4, atol=1e-2)


def test_a_photon_comes_back_to_its_place_less_the_angle(pixels, polar, sparse):
    """At azimuth ϕ − α of the direction's frame, on the rings about the pixel."""
    number = 150
    counts = torch.zeros(1, len(pixels))
    counts[0, number] = 1
    detector = Detector.of(polar, PhotonHarmonics(polar), pixels)
    rows = _exposed(polar, sparse, counts, torch.ones(1))
    sums = _sums(polar, 1, rows, torch.tensor([0]), torch.tensor([3]))
    photons, _ = polar_sums(sums, polar, detector)
    brightest = polar.points[int(photons[0].argmax())].double()
    alpha = 2 * math.pi * 3 / polar.angles
    expected = pixels.radius[number] * torch.polar(torch.tensor(1.0), polar.azimuth[number] - alpha)
    distance = torch.hypot(brightest[0] - expected.real, brightest[1] - expected.imag)
    assert float(distance) < float(polar.radius.diff()[0])


def test_noiseless_patterns_give_the_volume_back(particle, pixels):
    """Every orientation of a grid once, at unequal fluences; the gain is taken out."""
    orientations = OrientationGrid.of(3000, C1)
    diameter = particle.diameter_angstrom
    polar = PolarGrid.of(
        pixels, diameter, angles=orientations.angles, rings_per_speckle=4.0, band=1.0
    )
    angle = torch.arange(polar.angles).repeat(len(orientations.frames))
    column = torch.arange(len(orientations.frames)).repeat_interleave(polar.angles)
    poses = oriented(orientations.frames[column], angle, polar.angles)
    fluence = 0.5 + torch.rand(len(poses), generator=torch.Generator().manual_seed(1))
    expected = particle.slices(pixels, poses) * pixels.gain
    every = np.arange(len(pixels), dtype=np.int32)
    photons = Photons(
        offsets=np.arange(len(poses) + 1) * len(every),
        pixel=np.tile(every, len(poses)),
        count=(expected * fluence[:, None]).reshape(-1).numpy(),
    )
    rows = PhotonHarmonics(polar)(photons)
    rows[:, polar.fluence_columns] = -fluence[:, None]
    sums = _sums(polar, len(orientations.frames), rows, column, angle)
    profile = Profile.of(pixels, expected.mean(0), diameter)
    grid = intensity_grid(float(pixels.radius[-1]), diameter, 4.0)
    merged = Accumulator.empty(*grid)
    detector = Detector.of(polar, PhotonHarmonics(polar), pixels)
    insert(merged, sums, profile, polar, detector, orientations.frames)
    found = volume_of(merged, profile, 0.001, C1)
    truth = particle.volume(*grid)
    s = radius(*grid)
    known = (s > 1.5 * pixels.radius[0]) & (s < 0.9 * pixels.radius[-1])
    scale = (found.values * truth.values)[known].sum() / truth.values[known].square().sum()
    assert float(scale) == pytest.approx(1, abs=0.03)
    error = (found.values - truth.values)[known].square().mean().sqrt()
    assert float(error / truth.values[known].square().mean().sqrt()) < 0.1
    curve = intensity_correlation(found.values, truth.values)
    shells = shell_s(*grid)
    inside = (shells > 1.5 * pixels.radius[0]) & (shells < 0.9 * pixels.radius[-1])
    assert float(curve[inside].min()) > 0.97


def test_shares_weight_the_photons_alone(pixels, polar, sparse, orientations):
    """Of photons that count half, half is put back, and all of the exposure."""
    draw = torch.Generator().manual_seed(3)
    counts = torch.poisson(torch.full((3, len(pixels)), 0.5), generator=draw)
    rows = _exposed(polar, sparse, counts, torch.ones(3))
    columns, angles = torch.tensor([2, 5, 7]), torch.tensor([0, 1, 2])
    given = _sums(polar, len(orientations.frames), rows, columns, angles)
    profile = Profile.of(pixels, pixels.gain, 60.0)
    detector = Detector.of(polar, PhotonHarmonics(polar), pixels)
    grid = intensity_grid(float(pixels.radius[-1]), 60.0, 3.0)
    sums, where = [], (profile, polar, detector, orientations.frames)
    for share in (None, lambda frames: torch.full((len(frames), len(polar.points)), 0.5)):
        sums.append(Accumulator.empty(*grid))
        insert(sums[-1], given, *where, share)
    torch.testing.assert_close(sums[1].photons, sums[0].photons / 2)
    torch.testing.assert_close(sums[1].exposure, sums[0].exposure)
    assert float(sums[0].photons.sum()) == pytest.approx(float(counts.sum()), rel=1e-3)


def test_directions_without_patterns_add_nothing(pixels, polar, orientations):
    """As of a class that no pattern belongs to."""
    profile = Profile.of(pixels, pixels.gain, 60.0)
    detector = Detector.of(polar, PhotonHarmonics(polar), pixels)
    merged = Accumulator.empty(*intensity_grid(float(pixels.radius[-1]), 60.0, 3.0))
    sums = torch.zeros(len(orientations.frames), polar.width)
    insert(merged, sums, profile, polar, detector, orientations.frames)
    assert not merged.exposure.any()


@pytest.mark.parametrize("name", ["C1", "D2"])
def test_a_random_start_has_the_profile_and_speckles_of_the_size(pixels, name):
    profile = Profile.of(pixels, pixels.gain * (-80 * pixels.radius).exp(), 60.0)
    grid, group = intensity_grid(float(pixels.radius[-1]), 60.0, 4.0), point_group(name)
    draw = torch.Generator().manual_seed(0)
    first = random_start(profile, grid, 60.0, group, draw)
    second = random_start(profile, grid, 60.0, group, draw)
    assert (first.values > 0).all()
    torch.testing.assert_close(first.values, first.values.flip(0, 1, 2), rtol=1e-3, atol=1e-3)
    mean = radial_mean(first.values, torch.ones_like(first.values))
    known = radius(*grid) < float(pixels.radius[-1])
    ratio = (mean / profile.at(radius(*grid)))[known]
    assert float((ratio - 1).abs().mean()) < 0.15
    outer = shell_s(*grid) > 1.5 / 60.0  # shells of more than a few speckles
    near = intensity_correlation(first.values, first.values.roll(1, 0))[outer].nanmean()
    apart = intensity_correlation(first.values, second.values)[outer].nanmean()
    assert float(near) > 0.5  # a quarter of a speckle
    assert abs(float(apart)) < 0.3
    if name == "D2":
        turned = first.values.flip(1, 2)  # about x
        torch.testing.assert_close(first.values[known], turned[known], rtol=1e-2, atol=1e-2)


def test_change_is_relative_to_the_old_volume():
    old = torch.ones(3, 3, 3)
    assert relative_change(1.5 * old, old) == pytest.approx(0.5)
    assert relative_change(torch.ones(5, 5, 5), old) is None


def test_a_ball_of_junk_scatters_like_a_ball(pixels):
    """Against the transform of a ball on a fine grid, where it is brighter than the floor."""
    profile = Profile.of(pixels, pixels.gain * (-60 * pixels.radius).exp(), 60.0)
    grid = (81, 1 / 240)
    found = ball_start(profile, grid, 18.0)
    ball = (radius(grid[0], reciprocal(*grid)) < 18.0).float()
    expected = to_structure_factors(ball, reciprocal(*grid)).abs() ** 2
    bright = expected > 0.02 * expected.max()
    ratio = (found.values / expected)[bright]
    assert float(ratio.std() / ratio.mean()) < 0.1
    assert float(found.values.sum()) > 0


def test_balls_of_junk_come_in_equal_ratios():
    assert ball_radii(0, 100.0) == []
    radii = np.array(ball_radii(3, 100.0))
    assert radii[1] == pytest.approx(100 * math.sqrt(0.2 * 0.6))
    assert radii[2] / radii[1] == pytest.approx(radii[1] / radii[0])


def test_a_class_that_nothing_looks_like_falls_back_to_the_profile(pixels):
    profile = Profile.of(pixels, pixels.gain * (-60 * pixels.radius).exp(), 60.0)
    grid = (21, 1 / 180)
    found = volume_of(Accumulator.empty(*grid), profile, 0.02, C1)
    torch.testing.assert_close(found.values, profile.at(radius(*grid)))
