"""Means over the posterior, and sums of patterns by it, dense and sparse."""

import pytest
import torch

from baselines.emc.maximize import Spreader, expectation
from baselines.emc.posterior import Tile, posterior

PATTERNS, COLUMNS, HALF = 6, 10, 5


def _case(spread, split, candidates=None):
    """A posterior in tiles of ``split`` columns, and the same in full [n, K, A]."""
    draw = torch.Generator().manual_seed(0)
    even, odd = spread * torch.randn(2, HALF, PATTERNS, COLUMNS, generator=draw)
    cuts = [slice(a, a + split) for a in range(0, COLUMNS, split)]
    prior = torch.zeros(1, COLUMNS)
    tiles = [
        Tile(
            halves=(even[..., c].contiguous(), odd[..., c].contiguous()),
            prior=prior[:, c], first=c.start,
        )
        for c in cuts
    ]  # fmt: skip
    value = torch.cat([even + odd, even - odd]).movedim(0, 2).double()
    p = value.flatten(1).softmax(1).view_as(value)
    return posterior(tiles, 1.0, 1e-7, candidates), cuts, p


EVERY = torch.arange(COLUMNS, dtype=torch.int32).repeat(PATTERNS, 1)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("split", "candidates"), [(COLUMNS, None), (4, None), (COLUMNS, EVERY)])
def test_expectations_are_means_over_the_posterior(split, candidates, shared):
    """Of values that all patterns share, and of each pattern's own."""
    found, cuts, p = _case(1.0, split, candidates)
    assert (found.entries is None) == (candidates is None)
    draw = torch.Generator().manual_seed(1)
    even, odd = torch.randn(2, HALF, 1 if shared else PATTERNS, COLUMNS, generator=draw)
    value = torch.cat([even + odd, even - odd]).movedim(0, 2).double()
    exact = (p * value).flatten(1).sum(1).float()
    if found.entries is not None:
        given = [(even, odd)]
    else:
        given = [(even[..., c], odd[..., c]) for c in cuts]
    torch.testing.assert_close(expectation(found, given), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("split", "candidates"), [(COLUMNS, None), (4, None), (COLUMNS, EVERY)])
def test_sums_are_the_same_however_the_posterior_is_held(polar, split, candidates):
    """Harmonic m of the sums is Σ P A_m exp(−imα), whatever the form."""
    assert polar.angles == 2 * HALF
    found, _, p = _case(1.0, split, candidates)
    draw = torch.Generator().manual_seed(2)
    rows = torch.randn(PATTERNS, polar.width, generator=draw)
    waves = polar.waves(True, "cpu"), polar.waves(False, "cpu")
    sums = torch.zeros(COLUMNS, polar.width)
    Spreader(grid=polar, waves=waves, sums=sums).add(rows, found)
    alpha = torch.arange(polar.angles, dtype=torch.float64) * (2 * torch.pi / polar.angles)
    for m, (start, length) in zip(polar.orders, polar.columns, strict=True):
        first, second = rows[:, start : start + 2 * length].double().chunk(2, 1)
        turned = torch.einsum("nka,nq,a->kq", p + 0j, torch.complex(first, second),
                              torch.exp(-1j * m * alpha))  # fmt: skip
        exact = torch.cat([turned.real, turned.imag], 1).float()
        torch.testing.assert_close(sums[:, start : start + 2 * length], exact, rtol=1e-3, atol=1e-4)
