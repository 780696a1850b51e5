"""The tempered posterior against a softmax in double precision, and fused against plain loops."""

import math

import pytest
import torch

from baselines.emc.posterior import Tile, posterior, posterior_reference

PATTERNS, COLUMNS, HALF = 7, 21, 6
BETA, THRESHOLD = 0.3, 1e-6
FORMS = [posterior, posterior_reference]


def _values(spread, seed=0):
    """LL [n, K, A] about a large constant, as the likelihood of a pattern is, and its tiles."""
    draw = torch.Generator().manual_seed(seed)
    value = -800 + spread * torch.randn(PATTERNS, COLUMNS, 2 * HALF, generator=draw)
    prior = torch.rand(COLUMNS, generator=draw)
    return value, (prior / prior.sum() / (2 * HALF)).log()


def _tiles(value, prior, split=COLUMNS):
    """Halves of LL in tiles of ``split`` columns."""
    first, second = value.movedim(2, 0).chunk(2)
    even, odd = (first + second) / 2, (first - second) / 2
    prior = prior.expand(len(value) if prior.ndim == 2 else 1, -1)
    cuts = [slice(a, a + split) for a in range(0, value.shape[1], split)]
    return [
        Tile(
            halves=(even[..., c].contiguous(), odd[..., c].contiguous()),
            prior=prior[:, c].contiguous(),
            first=c.start,
        )
        for c in cuts
    ]


def _exact(value, prior):
    """P [n, K, A], log P/π in float64."""
    x = BETA * value.double() + prior.double()[..., None]
    log_p = x.flatten(1).log_softmax(1).view_as(x)
    return log_p.exp(), log_p - prior.double()[..., None], x


def _dense(found):
    """The probabilities [n, K, A] of either form."""
    if found.entries is None:
        parts = [torch.cat([(e + o) / 2, (e - o) / 2]) for e, o in (t.halves for t in found.tiles)]
        return torch.cat(parts, 2).movedim(0, 2)
    entries = found.entries
    out = torch.zeros(PATTERNS, COLUMNS, 2 * HALF)
    at = entries.patterns(), entries.column.long(), entries.angle.long()
    assert len({(a, b, c) for a, b, c in zip(*(i.tolist() for i in at), strict=True)}) == len(at[0])
    out[at] = entries.weight
    return out


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", [COLUMNS, 8])
@pytest.mark.parametrize(("spread", "sparse"), [(3.0, False), (80.0, True)])
def test_it_is_the_tempered_softmax(form, split, spread, sparse):
    value, prior = _values(spread)
    p, ratio, x = _exact(value, prior)
    made = form(_tiles(value, prior, split), BETA, THRESHOLD)
    assert (made.entries is not None) == sparse
    torch.testing.assert_close(_dense(made).double(), p, rtol=1e-3, atol=2e-6)
    found = made.found
    evidence = x.flatten(1).logsumexp(1) / BETA
    torch.testing.assert_close(found.evidence, evidence, rtol=0, atol=2e-3)
    torch.testing.assert_close(
        found.information, (p * ratio).flatten(1).sum(1), rtol=1e-3, atol=1e-3
    )
    energy = (p * value.double()).flatten(1).sum(1)
    torch.testing.assert_close(found.energy, energy, rtol=0, atol=2e-3)
    torch.testing.assert_close(found.occupancy, p.flatten(1).max(1).values, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", [COLUMNS, 8])
@pytest.mark.parametrize("spread", [3.0, 80.0])
def test_the_best_is_the_likeliest_with_its_likelihood(form, split, spread):
    for seed in range(5):
        value, prior = _values(spread, seed)
        _, _, x = _exact(value, prior)
        found = form(_tiles(value, prior, split), BETA, THRESHOLD).found
        at = found.best[:, 0] * 2 * HALF + found.best[:, 1]
        assert at.tolist() == x.flatten(1).argmax(1).tolist()
        expected = value.flatten(1).gather(1, at[:, None])[:, 0].double()
        torch.testing.assert_close(found.loglik, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("form", FORMS)
def test_what_lies_below_the_threshold_is_dropped(form):
    value, prior = _values(20.0)
    p, _, _ = _exact(value, prior)
    relative = p / p.flatten(1).max(1).values[:, None, None]
    made = form(_tiles(value, prior), BETA, 1e-3)
    kept = _dense(made) > 0
    assert (kept == (relative > 1e-3)).all()
    assert made.found.kept.tolist() == kept.flatten(1).sum(1).tolist()
    torch.testing.assert_close(_dense(made).flatten(1).sum(1), torch.ones(PATTERNS))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("spread", [3.0, 80.0])
def test_columns_without_prior_take_no_part(form, spread):
    """Patterns with priors of their own, −∞ in some columns."""
    value, prior = _values(spread)
    prior = prior.repeat(PATTERNS, 1)
    prior[:, 4] = prior[2, :15] = -torch.inf
    p, ratio, x = _exact(value, prior)
    made = form(_tiles(value, prior), BETA, THRESHOLD)
    torch.testing.assert_close(_dense(made).double(), p, rtol=1e-3, atol=2e-6)
    assert (_dense(made)[:, 4] == 0).all()
    information = (p * ratio).where(p > 0, 0).flatten(1).sum(1)
    torch.testing.assert_close(made.found.information, information, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        made.found.evidence, x.flatten(1).logsumexp(1) / BETA, rtol=0, atol=2e-3
    )


@pytest.mark.parametrize("form", FORMS)
def test_candidates_name_their_columns(form):
    """Columns of the tile are numbers in each pattern's list; the posterior names the columns."""
    value, prior = _values(5.0)
    draw = torch.Generator().manual_seed(3)
    candidates = torch.rand(PATTERNS, 40, generator=draw).argsort(1)[:, :COLUMNS].int()
    candidates[3, 5:] = -1
    prior = prior.expand(PATTERNS, -1).masked_fill(candidates < 0, -torch.inf)
    p, _, x = _exact(value, prior)
    made = form(_tiles(value, prior), BETA, THRESHOLD, candidates)
    assert made.entries is not None
    entries = made.entries
    found = torch.zeros(PATTERNS, 40, 2 * HALF, dtype=torch.float64)
    at = entries.patterns(), entries.column.long(), entries.angle.long()
    found[at] = entries.weight.double()
    expected = torch.zeros_like(found)
    for i in range(PATTERNS):
        listed = candidates[i] >= 0
        expected[i, candidates[i][listed].long()] = p[i, listed]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-6)
    column = x.flatten(1).argmax(1) // (2 * HALF)
    named = candidates.gather(1, column[:, None].long())[:, 0].tolist()
    assert made.found.best[:, 0].tolist() == named


def test_log_of_the_prior_counts_towards_the_evidence():
    """Equal LL everywhere: the evidence is it, and nothing has been learnt."""
    value, prior = torch.full((PATTERNS, COLUMNS, 2 * HALF), 42.0), _values(1.0)[1]
    found = posterior(_tiles(value, prior), 1.0, THRESHOLD).found
    torch.testing.assert_close(found.evidence, torch.full((PATTERNS,), 42.0).double())
    assert found.information.abs().max() < 1e-4
    assert float(found.occupancy[0]) == pytest.approx(math.exp(float(prior.max())), rel=1e-4)
