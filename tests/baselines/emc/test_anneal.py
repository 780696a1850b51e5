"""β for a given share of information."""

import pytest
import torch

from baselines.emc.anneal import beta_for
from baselines.emc.posterior import Tile, posterior


def _tiles(spread):
    draw = torch.Generator().manual_seed(0)
    even, odd = spread * torch.randn(2, 4, 12, 30, generator=draw)
    prior = torch.full((1, 30), 1 / 240).log()
    cut = [slice(0, 11), slice(11, 30)]
    return [
        Tile(halves=(even[..., c].clone(), odd[..., c].clone()), prior=prior[:, c], first=c.start)
        for c in cut
    ]


@pytest.mark.parametrize("wanted", [0.2, 2.0, 5.0])
def test_the_posterior_at_beta_has_the_information_wanted(wanted):
    beta = beta_for(_tiles(40.0), wanted)
    assert 0 < beta < 1
    found = posterior(_tiles(40.0), beta, 1e-9).found
    assert float(found.information.mean()) == pytest.approx(wanted, rel=2e-3)


def test_beta_is_never_above_one():
    assert beta_for(_tiles(0.1), 3.0) == 1.0
