"""Log-likelihoods of all in-plane angles, their adjoint, and the forms for few candidates."""

import math

import pytest
import torch

from baselines.emc.correlate import (
    candidate_products_reference,
    correlate,
    correlate_candidates,
    expand_angles,
    spread,
)
from baselines.emc.harmonics import PhotonHarmonics, pack
from baselines.emc.maximize import Spreader, spread_entries_reference
from baselines.emc.posterior import Tile, posterior

PATTERNS, DIRECTIONS = 6, 9


@pytest.fixture(scope="module")
def waves(polar):
    return polar.waves(True, "cpu"), polar.waves(False, "cpu")


@pytest.fixture(scope="module")
def harmonics(polar):
    """Band-limited functions on the rings, and the exposure ring: Σ Re C_m exp(imψ)."""
    draw = torch.Generator().manual_seed(3)
    shape = DIRECTIONS, polar.rings + 1, polar.highest + 1
    limits = torch.cat([polar.limits, torch.tensor([polar.highest])])
    kept = torch.arange(polar.highest + 1) <= limits[:, None]
    return torch.randn(*shape, dtype=torch.complex64, generator=draw) * kept


@pytest.fixture(scope="module")
def templates(polar, harmonics):
    return pack(polar, torch.view_as_real(harmonics.conj().resolve_conj()))


@pytest.fixture(scope="module")
def counts(pixels):
    draw = torch.Generator().manual_seed(4)
    return torch.poisson(torch.full((PATTERNS, len(pixels)), 0.3), generator=draw)


@pytest.fixture(scope="module")
def rows(polar, counts, sparse):
    fluence = 0.5 + 0.2 * torch.arange(PATTERNS)
    rows = PhotonHarmonics(polar)(sparse(counts))
    rows[:, polar.fluence_columns] = -fluence[:, None]
    return rows


def _whole_turn(halves):
    even, odd = halves
    return torch.cat([even + odd, even - odd])


def test_every_angle_is_the_direct_sum_over_photons(
    polar, waves, harmonics, templates, counts, rows
):
    """Σ k T(ϕ − α) of the template between its rings, less φ times the exposure at α."""
    C = harmonics.to(torch.complex128)
    order = torch.arange(polar.highest + 1, dtype=torch.float64)
    near = polar.inner.long()[:, None] + torch.arange(4)
    between = torch.einsum("pt,dptm->dpm", polar.weight.double() + 0j, C[:, near])
    found = _whole_turn(correlate(polar, waves, rows, templates))
    assert found.shape == (polar.angles, PATTERNS, DIRECTIONS)
    for number in range(polar.angles):
        alpha = 2 * math.pi * number / polar.angles
        wave = torch.exp(1j * order * (polar.azimuth.double()[:, None] - alpha))
        template = (between * wave).sum(-1).real
        exposure = (C[:, -1] * torch.exp(-1j * order * alpha)).sum(-1).real
        fluence = 0.5 + 0.2 * torch.arange(PATTERNS, dtype=torch.float64)
        direct = counts.double() @ template.T - fluence[:, None] * exposure
        torch.testing.assert_close(found[number].double(), direct, rtol=1e-4, atol=2e-3)


def test_spread_is_the_adjoint_of_correlate(polar, waves, templates, rows):
    """⟨w, LL(C)⟩ = ⟨LLᵀ(w), C⟩."""
    draw = torch.Generator().manual_seed(5)
    halves = correlate(polar, waves, rows, templates)
    weight = torch.rand(polar.angles, PATTERNS, DIRECTIONS, generator=draw)
    first, second = weight.chunk(2)
    sums = torch.zeros_like(templates)
    spread(polar, waves, rows, (first + second, first - second), sums)
    left = (weight.double() * _whole_turn(halves)).sum()
    right = (sums.double() * templates).sum()
    scale = sums.double().norm() * templates.double().norm()
    assert float((left - right).abs() / scale) < 1e-6
    assert float(left.abs() / scale) > 1e-4


def test_spread_adds_to_what_is_there(polar, waves, templates, rows):
    one = torch.zeros_like(templates)
    weight = correlate(polar, waves, rows, templates)
    spread(polar, waves, rows, weight, one)
    twice = one.clone()
    spread(polar, waves, rows, weight, twice)
    torch.testing.assert_close(twice, 2 * one, rtol=1e-4, atol=1e-2)


def test_candidates_are_columns_of_the_whole(polar, waves, templates, rows):
    """The fused loop and the plain form, with gaps where a pattern has fewer candidates."""
    draw = torch.Generator().manual_seed(6)
    candidates = torch.rand(PATTERNS, DIRECTIONS, generator=draw).argsort(1)[:, :4].int()
    candidates[1, 2:], candidates[4, 1:] = -1, -1
    everywhere = _whole_turn(correlate(polar, waves, rows, templates))
    at = candidates.clamp_min(0).long().expand(polar.angles, -1, -1)
    expected = everywhere.gather(2, at) * (candidates >= 0)
    fused = _whole_turn(correlate_candidates(polar, waves, rows, templates, candidates))
    products = candidate_products_reference(polar, rows, templates, candidates)
    plain = _whole_turn(expand_angles(waves, products))
    torch.testing.assert_close(fused, expected, rtol=1e-4, atol=2e-3)
    torch.testing.assert_close(plain, expected, rtol=1e-4, atol=2e-3)


def _sparse_posterior(polar):
    """A posterior over candidates, which are all directions here, and the same as dense weights."""
    draw = torch.Generator().manual_seed(7)
    half = polar.angles // 2
    even, odd = 60 * torch.randn(2, half, PATTERNS, DIRECTIONS, generator=draw)
    tile = Tile(halves=(even, odd), prior=torch.zeros(1, DIRECTIONS), first=0)
    every = torch.arange(DIRECTIONS, dtype=torch.int32).repeat(PATTERNS, 1)
    found = posterior([tile], 0.05, 1e-4, every)
    assert found.entries is not None
    weight = torch.zeros(polar.angles, PATTERNS, DIRECTIONS)
    entries = found.entries
    weight[entries.angle.long(), entries.patterns(), entries.column.long()] = entries.weight
    assert int((weight > 0).sum()) > 2 * PATTERNS
    return found, weight


@pytest.mark.parametrize("form", ["fused", "plain"])
def test_sparse_entries_spread_like_dense_ones(polar, waves, rows, templates, form):
    found, weight = _sparse_posterior(polar)
    first, second = weight.chunk(2)
    expected = torch.zeros_like(templates)
    spread(polar, waves, rows, (first + second, first - second), expected)
    sums = torch.zeros_like(templates)
    if form == "fused":
        Spreader(grid=polar, waves=waves, sums=sums).add(rows, found)
    else:
        spread_entries_reference(polar, rows, found.entries, sums)
    torch.testing.assert_close(sums, expected, rtol=1e-4, atol=1e-3)
