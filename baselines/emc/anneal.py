"""The temperature that a pattern's posterior should have, found from the patterns themselves.

How sharp a posterior is at a given β depends on photons, particle and resolution. The mutual
information Σ P log(P/π) says it on one scale, from 0 (nothing known) to log of the number of
orientations (one left), so the schedule of annealing is one of information.
"""

import torch
from torch import Tensor

from baselines.emc.posterior import Tile, flat

_COLDEST = 1.0
_HOTTEST = 1e-7
_STEPS = 25


def beta_for(tiles: list[Tile], wanted: float) -> float:
    """Return β at which the mean information is ``wanted`` (nats), at most 1.

    Bisection over log β: information grows with β.
    """
    value, prior = flat(tiles)
    low, high = torch.tensor(_HOTTEST).log(), torch.tensor(_COLDEST).log()
    if _information(value, prior, _COLDEST) <= wanted:
        return _COLDEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _information(value, prior, float(middle.exp())) < wanted:
            low = middle
        else:
            high = middle
    return float(high.exp())


def _information(value: Tensor, prior: Tensor, beta: float) -> float:
    """Return the mean over patterns of Σ P log(P/π) for P ∝ π exp(β LL)."""
    log_p = (beta * value + prior).log_softmax(1)
    p = log_p.exp()
    return float((p * (log_p - prior)).where(p > 0, 0).sum(1).mean())
