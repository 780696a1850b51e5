"""Weights that leave out what is no single hit of the particle, told by its misfit alone."""

import torch
from jaxtyping import Float
from torch import Tensor

_LOWER_SIGMA = 0.1587  # of a normal distribution lies more than its spread below the middle
_WIDTH = 6.0  # spreads above the median at which a pattern no longer counts


def usual(misfit: Float[Tensor, "n"]) -> tuple[float, float]:
    """Return the median misfit and its spread: how far below it the lower sixth begins.

    Junk lies above, so the lower side tells the hits' own spread while they are most of the
    patterns. The spread of draws of the model itself, 1, is the least.
    """
    ordered = misfit.sort().values
    median, lower = (float(ordered[int(q * (len(ordered) - 1))]) for q in (0.5, _LOWER_SIGMA))
    return median, max(median - lower, 1.0)


def weights(misfit: Float[Tensor, "n"], known: tuple[float, float] | None) -> Float[Tensor, "n"]:
    """Return Tukey's biweight (1 − (t/6)²)² of t, the spreads above the median; 1 below it.

    Without a median and spread (the first round) every pattern counts.
    """
    if known is None:
        return torch.ones_like(misfit, dtype=torch.float32)
    median, spread = known
    t = ((misfit - median) / spread).clamp_min(0)
    return (1 - (t / _WIDTH).clamp_max(1).square()).square().float()
