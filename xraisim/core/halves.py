"""Two half-sets of the patterns: how far volumes of disjoint patterns agree, without any truth.

Every other pattern belongs to the second half. Each half is refined against its own volume, so that
what they agree on is in the photons and not in a common error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core.fsc import Resolution, first_crossing, intensity_correlation
from xraisim.core.radial import shell_s
from xraisim.core.types import Volume

LEVEL = 0.143
RULE = f"icc_half_{LEVEL}"


def members(rows: slice, sets: int) -> list[Int[Tensor, "_"]]:
    """Return which patterns of ``rows`` belong to each of ``sets`` sets, counted from its start."""
    number = torch.arange(rows.start, rows.stop)
    return [torch.nonzero(number % sets == which)[:, 0] for which in range(sets)]


def numbers(patterns: int, sets: int) -> Int[Tensor, "N"]:
    """Return the number of each pattern's set, from 1 (int8)."""
    return (torch.arange(patterns) % sets + 1).to(torch.int8)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Correlation of two half-volumes per shell, and where it first falls below 0.143.

    Half the data then agree with the truth to about 0.5, were they free of a common error.
    """

    s_per_angstrom: Float[Tensor, "shells"]
    correlation: Float[Tensor, "shells"]
    resolution: Resolution

    @property
    def s_agreed(self) -> float:
        """The |s| (Å⁻¹) of the resolution: the last shell compared if they never part, or 0."""
        found = self.resolution.angstrom
        return 0.0 if found is None else 1 / found


def agreement(halves: Sequence[Volume], s_min: float, s_max: float) -> Agreement | None:
    """Compare two half-volumes between two |s| (Å⁻¹); None unless there are two.

    Pearson's correlation per shell, its mean removed (:func:`intensity_correlation`).
    """
    if len(halves) != 2:
        return None
    first, second = (half.values.cpu() for half in halves)
    curve = intensity_correlation(first, second)
    s = shell_s(halves[0].grid, halves[0].spacing)
    inside = (s >= s_min) & (s <= s_max) & curve.isfinite()
    return Agreement(
        s_per_angstrom=s[inside],
        correlation=curve[inside],
        resolution=first_crossing(curve, s, LEVEL, RULE, (s_min, s_max)),
    )
