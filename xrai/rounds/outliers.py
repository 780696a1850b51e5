"""Weights that leave out what is no single hit of the particle, told by how it fits alone.

A pattern is an outlier if it fits worse than the others both in standard deviations (its misfit),
which bright patterns do wherever the volume is not perfect, and in the share of its variation that
is unexplained, which faint ones do by chance.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.state.state import TypicalFit

_LOWER_SIGMA = 0.1587  # of a normal distribution lies more than its spread below the middle
_CLEARLY = 0.1  # of the misfit, at least of one standard deviation
_WIDTH = 6.0  # spreads above the median at which a pattern no longer counts


def typical_fit(misfit: Float[Tensor, "n"], unexplained: Float[Tensor, "n"]) -> TypicalFit:
    """Return the medians, and how far below them the lower sixths begin.

    Junk lies above, so the lower side tells the hits' own spread while they are most of the
    patterns. The spread of the misfit of draws of the model itself, 1, is the least.
    """
    return TypicalFit(misfit=_middle(misfit, 1.0), unexplained=_middle(unexplained, 1e-3))


def sharper(before: TypicalFit, now: TypicalFit) -> bool:
    """Return whether patterns fit clearly better than a round before, so that older sums blur."""
    return before.misfit[0] > now.misfit[0] + _CLEARLY * max(1.0, now.misfit[0])


def _middle(values: Tensor, least: float) -> tuple[float, float]:
    ordered = values.sort().values
    median, lower = (float(ordered[int(q * (len(ordered) - 1))]) for q in (0.5, _LOWER_SIGMA))
    return median, max(median - lower, least)


def weights(
    misfit: Float[Tensor, "n"], unexplained: Float[Tensor, "n"], typical: TypicalFit | None
) -> Float[Tensor, "n"]:
    """Return Tukey's biweight (1 − (t/6)²)², t the spreads above the median; 1 below it.

    Of the two measures the milder counts. Without ``typical`` (the first round) every weight is 1.
    """
    if typical is None:
        return torch.ones_like(misfit, dtype=torch.float32)
    return torch.maximum(
        _biweight(misfit, *typical.misfit), _biweight(unexplained, *typical.unexplained)
    )


def _biweight(values: Tensor, median: float, spread: float) -> Tensor:
    t = ((values - median) / spread).clamp_min(0)
    return (1 - (t / _WIDTH).clamp_max(1).square()).square().float()
