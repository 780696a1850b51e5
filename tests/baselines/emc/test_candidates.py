"""Which directions a pattern is looked for along again."""

import math

import pytest
import torch

from baselines.emc.candidates import Candidates, column_mass, likeliest
from baselines.emc.models import Columns
from baselines.emc.orientations import OrientationGrid
from baselines.emc.posterior import Tile, posterior
from xraisim.core import rotations
from xraisim.core.symmetry import point_group

C1 = point_group("C1")


def _columns(count, isotropic=(False,), group=C1):
    return Columns.of(OrientationGrid.of(count, group), list(isotropic))


def _directions(columns):
    return rotations.to_matrix(columns.frames)[:, 2]


def _listed(row):
    return [number for number in row.tolist() if number >= 0]


@pytest.mark.parametrize("name", ["C1", "D2"])
def test_they_are_the_directions_near_any_hypothesis_each_once(name):
    """Within 1.5 spacings of the older grid, modulo the point group."""
    group = point_group(name)
    older, newer = (_columns(count, group=group) for count in (2000, 6000))
    hypotheses = torch.tensor([[3, 4, -1], [17, -1, -1], [0, len(older) - 1, 5]]).int()
    found = Candidates(hypotheses, older, newer, group)(torch.arange(3))
    turns = rotations.to_matrix(group).double()
    mates = torch.einsum("mij,dj->mdi", turns, _directions(newer).double())
    reach = 1.5 * math.sqrt(4 * math.pi / (len(older) * len(group)))
    for row, held in zip(found, hypotheses, strict=True):
        old = _directions(older)[held[held >= 0].long()].double()
        angle = torch.einsum("mdi,hi->mdh", mates, old).clamp(-1, 1).acos().amin((0, 2))
        listed = _listed(row)
        assert len(listed) == len(set(listed))
        assert set((angle < reach - 1e-3).nonzero()[:, 0].tolist()) <= set(listed)
        assert set(listed) <= set((angle < reach + 1e-3).nonzero()[:, 0].tolist())
        assert len(listed) >= 3


def test_the_nearest_is_there_even_where_none_is_near():
    """From a finer grid back to a coarser one."""
    older, newer = _columns(20_000), _columns(60)
    found = Candidates(torch.tensor([[30], [200]]).int(), older, newer, C1)(torch.arange(2))
    nearest = (_directions(older)[[30, 200]] @ _directions(newer).T).argmax(1)
    assert all(int(n) in _listed(row) for n, row in zip(nearest, found, strict=True))


def test_classes_keep_to_themselves():
    older, newer = (_columns(n, (False, False, True)) for n in (300, 900))
    hypotheses = torch.tensor([[older.start[1] + 2, -1], [older.start[2], -1]]).int()
    found = Candidates(hypotheses, older, newer, C1)(torch.tensor([0, 1]))
    assert set(newer.number[_listed(found[0])].tolist()) == {1}
    assert _listed(found[1]) == [newer.start[2]]


def test_patterns_are_asked_for_by_number():
    older = _columns(300)
    hypotheses = torch.arange(len(older))[:, None].int()
    candidates = Candidates(hypotheses, older, older, C1)
    some, one = candidates(torch.tensor([4, 9])), candidates(torch.tensor([9]))
    assert _listed(some[1]) == _listed(one[0])
    assert 9 in _listed(one[0])


def _posterior(spread, form):
    draw = torch.Generator().manual_seed(0)
    even, odd = spread * torch.randn(2, 4, 5, 12, generator=draw)
    tile = Tile(halves=(even, odd), prior=torch.zeros(1, 12), first=0)
    every = torch.arange(12, dtype=torch.int32).repeat(5, 1)
    whole = torch.cat([even + odd, even - odd]).movedim(0, 2).flatten(1)
    mass = whole.double().softmax(1).view(5, 12, 8).sum(2).float()
    return posterior([tile], 1.0, 1e-9, every if form == "sparse" else None), mass


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_hypotheses_are_the_columns_with_most_of_the_posterior(form):
    found, mass = _posterior(1.0, form)
    assert (found.entries is None) == (form == "dense")
    torch.testing.assert_close(column_mass(found, 12), mass, rtol=1e-4, atol=1e-6)
    top = likeliest(column_mass(found, 12), 3)
    assert top.tolist() == mass.topk(3).indices.tolist()
    assert likeliest(column_mass(found, 12), 20).shape == (5, 20)


def test_columns_with_next_to_nothing_are_left_out():
    found, mass = _posterior(15.0, "sparse")
    kept = (likeliest(column_mass(found, 12), 8) >= 0).sum(1)
    assert kept.tolist() == (mass >= 1e-3).sum(1).clamp_max(8).tolist()
    assert int(kept.min()) < 8


def test_a_flat_posterior_has_a_hypothesis_all_the_same():
    """Over so many columns that none has a thousandth."""
    halves = torch.zeros(2, 3, 2000), torch.zeros(2, 3, 2000)
    found = posterior([Tile(halves=halves, prior=torch.zeros(1, 2000), first=0)], 1.0, 1e-6)
    assert ((likeliest(column_mass(found, 2000), 8) >= 0).sum(1) == 1).all()
