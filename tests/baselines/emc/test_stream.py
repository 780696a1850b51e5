"""Blocks of patterns, and the survey of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.emc.stream import PatternBlocks, Survey, of_like_fluence, read, split
from xraisim.core.processes import ALONE
from xraisim.core.types import Photons

PATTERNS = 50


@pytest.fixture
def source(particle, pixels, patterns_of):
    return patterns_of(particle, pixels, PATTERNS, 60)


def _totals(photons):
    """Rows that tell patterns apart: photons per pattern and the mean pixel."""
    moment = [
        photons.pixel[a:b].sum() for a, b in zip(photons.offsets, photons.offsets[1:], strict=False)
    ]
    return torch.from_numpy(np.stack([photons.totals(), moment], 1)).float()


def _blocks(source, chosen=None, cache_gib=1.0):
    calls = []

    def prepare(photons):
        calls.append(len(photons))
        return _totals(photons)

    every = torch.ones(PATTERNS, dtype=torch.bool) if chosen is None else chosen
    blocks = split(every, 8, ALONE)
    return PatternBlocks(source=source, blocks=blocks, prepare=prepare, cache_gib=cache_gib), calls


def _darkened(photons, dark):
    """Return the patterns with nothing left of those that are ``dark``."""
    keep = ~dark[photons.rows()]
    lengths = np.where(dark, 0, np.diff(photons.offsets))
    return Photons(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        pixel=photons.pixel[keep],
        count=photons.count[keep],
    )


def _mask(numbers):
    mask = torch.zeros(PATTERNS, dtype=torch.bool)
    mask[numbers] = True
    return mask


def test_every_member_comes_once_in_order_with_its_own_row(source):
    chosen = torch.arange(PATTERNS) % 3 > 0
    members = chosen & (torch.arange(PATTERNS) % 5 > 1)
    blocks, _ = _blocks(source, chosen)
    expected = _totals(source.photons)
    for wanted in (chosen, members, chosen):
        found = list(blocks(wanted))
        numbers = torch.cat([n for n, _ in found])
        assert numbers.tolist() == wanted.nonzero()[:, 0].tolist()
        torch.testing.assert_close(torch.cat([r for _, r in found]), expected[numbers])


def test_blocks_without_members_are_not_read(source):
    blocks, calls = _blocks(source)
    found = [numbers.tolist() for numbers, _ in blocks(_mask([9, 11, 49]))]
    assert found == [[9, 11], [49]]
    assert len(calls) == 2


@pytest.mark.parametrize(("gib", "again"), [(1.0, 0), (0.0, 7), (2 * 8 * 8 / 2**30, 5)])
def test_the_cache_holds_as_much_as_it_may(source, gib, again):
    """Blocks of eight patterns of two floats: all, none, or two of seven."""
    blocks, calls = _blocks(source, cache_gib=gib)
    for _ in range(2):
        for _ in blocks(_mask(slice(None))):
            pass
    assert len(calls) == 7 + again


def test_reading_by_numbers(source):
    photons = read(source, torch.tensor([4, 5, 9]))
    expected = source.photons.take(np.array([4, 5, 9]))
    assert photons.pixel.tolist() == expected.pixel.tolist()
    assert photons.offsets.tolist() == expected.offsets.tolist()


@pytest.mark.parametrize("inside", [80, None])
def test_the_survey_is_the_sums_of_dense_counts(source, inside):
    """Of the chosen patterns and the level's pixels alone."""
    pixels = source.pixels.first(inside or len(source.pixels))
    chosen = torch.arange(PATTERNS) % 4 > 0
    found = Survey.of(source, split(chosen, 8, ALONE), pixels, ALONE)
    counts = source.photons.dense(len(source.pixels))[:, : len(pixels)] * chosen[:, None]
    torch.testing.assert_close(found.totals, counts.sum(1))
    torch.testing.assert_close(found.mean, counts[chosen].mean(0), rtol=1e-5, atol=1e-6)
    constant = counts.double() @ pixels.gain.double().log()
    torch.testing.assert_close(found.constant, constant, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("most", [1, 7, 16, 50])
def test_a_stretch_of_dark_patterns_is_surveyed_in_blocks_of_any_size(source, most):
    """Blocks without a single photon once summed to integers, which broke the survey."""
    dark = torch.arange(PATTERNS) < 40
    lone = replace(source, photons=_darkened(source.photons, dark.numpy()))
    blocks = split(torch.ones(PATTERNS, dtype=torch.bool), most, ALONE)
    survey = Survey.of(lone, blocks, lone.pixels, ALONE)
    assert ((survey.totals == 0) == dark).all()
    assert float(survey.totals.sum()) == pytest.approx(float(survey.mean.sum() * PATTERNS))


def test_dark_patterns_make_a_group_of_a_fluence_that_can_divide():
    members = torch.ones(6, dtype=torch.bool)
    fluence = torch.tensor([0.0, 2.0, 0.0, 0.0, 1.0, 3.0])
    (dark, least), (lit, mean) = of_like_fluence(members, fluence, 2)
    assert dark.tolist() == [True, False, True, True, False, False]
    assert lit.tolist() == (~dark).tolist()
    assert (0 < least < 1e-3, mean) == (True, 2.0)
