"""Templates and averages against pixels."""

import dataclasses

import numpy as np
import pytest
import torch

from baselines.classify.averages import on_detector, ring_mean, smoothed, without_structure
from baselines.classify.iterate import compare, groups
from baselines.classify.stage import find_lit, make_stage
from baselines.emc.stream import read
from xraisim.files.patterns import PatternReader


@pytest.fixture(scope="module")
def stage(mixture, settings):
    with PatternReader(mixture) as reader:
        yield make_stage(reader, settings, torch.device("cpu"))


def _wavy(stage, order):
    """The profile times a smooth wave about the beam, which both grids can hold."""
    rings = stage.profile.at(stage.grid.radius)[None]
    x, y, _ = stage.grid.points.unbind(1)
    wave = 1 + 0.3 * torch.cos(order * torch.atan2(y, x))
    return stage.on_points(rings) * wave


def test_the_likelihood_is_poissons(stage, mixture):
    """Differences between angles agree with the sum over pixels; a wrong sign of α would not."""
    rate = _wavy(stage, 2)
    numbers = stage.lit.nonzero()[:3, 0]
    fluence = torch.ones(len(numbers))
    with PatternReader(mixture) as reader:
        photons = [read(reader, n[None]) for n in numbers]
    rows = torch.cat([stage.blocks.prepare(one) for one in photons])
    counts = torch.cat([one.dense(len(stage.pixels)) for one in photons])
    (tile,) = compare(stage, rate, 1.0).tiles(rows, fluence, torch.zeros(1, len(rate)))
    even, odd = tile.halves
    found = torch.cat([even + odd, even - odd])[..., 0]
    pixels, azimuth = stage.pixels, stage.grid.azimuth
    angle = torch.arange(len(found)) * (2 * torch.pi / len(found))
    profile = stage.at_pixels(stage.profile.at(stage.grid.radius)[None])[0]
    expected = []
    for alpha in angle:
        w = profile * (1 + 0.3 * torch.cos(2 * (azimuth - alpha)))
        lit = pixels.gain * w + pixels.background
        expected.append((counts * (lit / pixels.gain).log()).sum(1) - (pixels.gain * w).sum())
    expected = torch.stack(expected)
    spread = expected.std(0)
    error = (found - found.mean(0)) - (expected - expected.mean(0))
    assert (error.abs().amax(0) < 0.1 * spread).all()


def test_a_smooth_average_comes_through_to_the_detector(stage):
    image = on_detector(stage, _wavy(stage, 2))[0]
    profile = stage.at_pixels(stage.profile.at(stage.grid.radius)[None])[0]
    expected = profile * (1 + 0.3 * torch.cos(2 * stage.grid.azimuth))
    torch.testing.assert_close(image, expected, rtol=0.02, atol=0)


def test_smoothing_keeps_photons_and_constants(stage):
    draw = torch.Generator().manual_seed(1)
    photons = torch.rand(2, len(stage.grid.points), generator=draw)
    torch.testing.assert_close(smoothed(stage, photons).sum(1), photons.sum(1), rtol=1e-4, atol=0)
    assert smoothed(stage, photons).var() < 0.5 * photons.var()


def test_only_harmonics_of_the_lattice_are_left(stage):
    rings = stage.on_points(ring_mean(stage, _wavy(stage, 2)))
    torch.testing.assert_close(without_structure(stage, _wavy(stage, 2)), rings, rtol=1e-3, atol=0)
    torch.testing.assert_close(
        without_structure(stage, _wavy(stage, 4)), _wavy(stage, 4), rtol=1e-3, atol=0
    )


def test_groups_cover_the_lit_patterns_once(stage):
    parts = list(groups(stage, stage.fluence(), 3))
    assert len(parts) == 3
    assert torch.equal(sum(members.int() for members, _ in parts), stage.lit.int())
    assert [typical for _, typical in parts] == sorted(typical for _, typical in parts)


def test_blanks_are_told_from_faint_patterns():
    rng = np.random.default_rng(0)
    blanks, hits = rng.poisson(40, 700), rng.poisson(40 + 300, 300)
    totals = torch.tensor(np.concatenate([blanks, hits])).float()
    lit = find_lit(totals, 40.0, 0.05)
    assert not lit[:700].any()
    assert lit[700:].all()
    dark = find_lit(torch.tensor([0.0, 0.0, 3.0, 500.0, 400.0, 450.0]), 0.0, 0.05)
    assert dark.tolist() == [False, False, False, True, True, True]


def test_settings_that_cannot_be_used_are_refused(settings):
    with pytest.raises(ValueError, match="classes is 0; expected 1 to"):
        dataclasses.replace(settings, classes=0)
    with pytest.raises(ValueError, match="beta is 2"):
        dataclasses.replace(settings, beta=2.0)
