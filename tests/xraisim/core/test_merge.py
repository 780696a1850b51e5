"""Merging: the maximum of the likelihood, its floor, and independence of blocks and threads."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.threads import loops_on, loops_on_every_core
from xraisim.core.fourier import coordinates, radius
from xraisim.core.merge import Accumulator, intensity_grid, resample
from xraisim.core.radial import mean_at
from xraisim.core.symmetry import point_group
from xraisim.core.types import Volume


def merged(experiment, rows=slice(None), current=None):
    sums = Accumulator.empty(experiment.volume.grid, experiment.volume.spacing)
    index = np.arange(len(experiment.photons))[rows]
    sums.add(
        experiment.pixels,
        experiment.photons.take(index),
        experiment.poses[rows],
        experiment.fluence[rows],
        current,
    )
    return sums


@pytest.mark.parametrize("name", ["clean", "noisy"])
def test_fast_sums_equal_reference(name, request):
    experiment = request.getfixturevalue(name)
    fast = merged(experiment, current=experiment.volume)
    plain = Accumulator.empty(experiment.volume.grid, experiment.volume.spacing)
    plain.add_reference(
        experiment.pixels,
        experiment.photons,
        experiment.poses,
        experiment.fluence,
        torch.ones_like(experiment.fluence),
        mean_at(experiment.volume, experiment.pixels.radius),
    )
    assert torch.allclose(fast.photons, plain.photons, atol=1e-3)
    assert torch.allclose(fast.exposure, plain.exposure, atol=1e-4)


def test_weights_multiply_both_sums(noisy):
    """Weights 0 and 1 leave patterns out and in; weights ½ for all halve everything."""
    arguments = (noisy.pixels, noisy.photons, noisy.poses, noisy.fluence, noisy.volume)
    chosen = torch.arange(len(noisy.poses)) % 3 == 0
    some = merged(noisy, chosen.numpy().nonzero()[0], noisy.volume)
    for weight, expected, factor in (
        (chosen.float(), some, 1.0),
        (torch.full_like(noisy.fluence, 0.5), merged(noisy, current=noisy.volume), 0.5),
    ):
        sums = Accumulator.empty(noisy.volume.grid, noisy.volume.spacing)
        sums.add(*arguments, weight)
        assert torch.allclose(sums.photons, factor * expected.photons, atol=1e-3)
        assert torch.allclose(sums.exposure, factor * expected.exposure, atol=1e-4)
        plain = Accumulator.empty(noisy.volume.grid, noisy.volume.spacing)
        typical = mean_at(noisy.volume, noisy.pixels.radius)
        plain.add_reference(*arguments[:-1], weight, typical)
        assert torch.allclose(sums.photons, plain.photons, atol=1e-3)


def test_photons_are_conserved(clean):
    sums = merged(clean)
    assert float(sums.photons.sum()) == pytest.approx(float(clean.photons.totals().sum()), rel=1e-5)
    exposure = float(clean.fluence.sum() * clean.pixels.gain.sum())
    assert float(sums.exposure.sum()) == pytest.approx(exposure, rel=1e-5)


def test_background_needs_a_current_volume(noisy):
    with pytest.raises(ValueError, match="needs the current volume"):
        merged(noisy)


@pytest.mark.parametrize("level", [0.3, 1.0, 3.0])
def test_background_leaves_one_merge_unbiased(make_experiment, level):
    """A flat volume of any level as the current one: the speckles are found, and their minima.

    To share photons out by the current volume, as expectation-maximisation does, would fill the
    minima of a flat one, and move them a little with every merge.
    """
    dim = make_experiment(400, background=2.0, brightness=50.0)
    truth = dim.volume.values
    flat = replace(dim.volume, values=torch.full_like(truth, level * float(truth.median())))
    found = merged(dim, current=flat).volume(prior=0.01).values
    distance = radius(dim.volume.grid, 1.0)
    measured = (distance > 3) & (distance < 12)
    truth, found = truth[measured], found[measured]
    assert np.corrcoef(found, truth)[0, 1] > 0.95
    assert float(found.sum() / truth.sum()) == pytest.approx(1, abs=0.03)
    dark = truth < truth.quantile(0.25)
    clean = merged(replace(dim, pixels=replace(dim.pixels, background=0 * dim.pixels.background)))
    filled = clean.volume(prior=0.01).values[measured]
    assert float(found[dark].mean()) < 0.5 * float(filled[dark].mean())


def test_blocks_add_up_and_threads_do_not_matter(clean):
    with loops_on_every_core():
        whole = merged(clean)
    parts = Accumulator.empty(clean.volume.grid, clean.volume.spacing)
    for rows in (slice(0, 25), slice(25, 60)):
        block = merged(clean, rows)
        parts.photons += block.photons
    assert torch.allclose(whole.photons, parts.photons, atol=1e-3)
    with loops_on(1):
        single = merged(clean)
    assert torch.equal(whole.photons, single.photons)


def test_volume_recovers_the_intensity(make_experiment):
    bright = make_experiment(300, brightness=50.0)
    volume = merged(bright).volume(prior=0.01).values
    distance = radius(bright.volume.grid, 1.0)
    measured = (distance > 3) & (distance < 12)
    correlation = np.corrcoef(volume[measured], bright.volume.values[measured])[0, 1]
    assert correlation > 0.95
    assert torch.allclose(volume, volume.flip(0, 1, 2), rtol=1e-4)


def test_ill_measured_voxels_stay_at_the_radial_mean():
    sums = Accumulator.empty(9, 1.0)
    sums.exposure += 1
    sums.photons += 2
    sums.exposure[4, 4, 7] = sums.exposure[4, 4, 1] = 1e-9
    sums.photons[4, 4, 7] = sums.photons[4, 4, 1] = 1e-3  # a ratio of a million
    assert float(sums.volume(prior=0.02).values.max()) < 2.2


def test_voxels_gain_from_better_measured_mates():
    """Photons in one octant alone fill all eight through D2 and Friedel's law."""
    x, y, z = coordinates(11, 1.0).unbind(-1)
    truth = 1 + (x * y) ** 2 + (2 * z) ** 2 + 0.1 * x**2  # D2 and centrosymmetric
    sums = Accumulator.empty(11, 1.0)
    octant = (x >= 0) & (y >= 0) & (z >= 0)
    sums.exposure = 3.0 * octant
    sums.photons = sums.exposure * truth
    found = sums.volume(0.0, point_group("D2")).values
    ball = radius(11, 1.0) < 5
    assert torch.allclose(found[ball], truth[ball], rtol=1e-5)


def test_a_group_of_one_changes_nothing(clean):
    sums = merged(clean)
    found = sums.volume(0.02, point_group("C1")).values
    assert torch.equal(found, sums.volume(0.02).values)


def test_grid_holds_the_resolution():
    grid, spacing = intensity_grid(0.05, 250.0, 2.5)
    assert spacing == pytest.approx(1 / 625)
    assert grid % 2 == 1
    assert (grid // 2) * spacing > 0.05


def test_resample_keeps_values_and_extends_the_edge():
    axis = torch.arange(11.0) - 5
    values = (axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2).sqrt()
    fine = resample(Volume(values=values, spacing=1.0, kind="intensity"), 31, 0.5).values
    assert float(fine[15, 15, 19]) == pytest.approx(2.0, abs=0.05)
    assert float(fine[15, 15, 30]) == pytest.approx(5.0, abs=0.01)  # at 7.5, beyond the edge
