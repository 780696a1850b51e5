"""Weights that leave out what is no single hit of the particle, told by its misfit alone."""

import torch
from jaxtyping import Float
from torch import Tensor

_WIDTH = 6.0  # spreads above the median at which a pattern no longer counts


def usual(misfit: Float[Tensor, "n"]) -> tuple[float, float]:
    """Return the median misfit and its spread as 1.4826 × the median absolute deviation.

    Half of the patterns may be junk before either moves much. The spread of draws of the model
    itself, 1, is the least.
    """
    median = misfit.median()
    spread = 1.4826 * (misfit - median).abs().median()
    return float(median), max(float(spread), 1.0)


def weights(misfit: Float[Tensor, "n"], known: tuple[float, float] | None) -> Float[Tensor, "n"]:
    """Return Tukey's biweight (1 − (t/6)²)² of t, the spreads above the median; 1 below it.

    Without a median and spread (the first round) every pattern counts.
    """
    if known is None:
        return torch.ones_like(misfit, dtype=torch.float32)
    median, spread = known
    t = ((misfit - median) / spread).clamp_min(0)
    return (1 - (t / _WIDTH).clamp_max(1).square()).square().float()
