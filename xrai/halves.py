"""Two half-sets of the patterns: how far volumes of disjoint patterns agree, without any truth.

Every other pattern belongs to the second half. Each half is refined against its own volume, so that
what they agree on is in the photons and not in a common error.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core.fsc import first_crossing, intensity_correlation, shell_s
from xraisim.core.merge import Accumulator
from xraisim.core.types import Volume

RULE = "icc_half_0.143"
_LEVEL = 0.143


def members(rows: slice, sets: int) -> list[Int[Tensor, "_"]]:
    """Return which patterns of ``rows`` belong to each of ``sets`` sets, counted from its start."""
    number = torch.arange(rows.start, rows.stop)
    return [torch.nonzero(number % sets == which)[:, 0] for which in range(sets)]


@dataclass(frozen=True)
class Agreement:
    """Correlation of two half-volumes per shell, and where it first falls below 0.143.

    Half the data then agree with the truth to about 0.5, were they free of a common error.
    ``s_agreed``: that |s| in Å⁻¹, the last shell compared if it never falls, 0 if it never rose.
    """

    s_per_angstrom: Float[Tensor, "shells"]
    correlation: Float[Tensor, "shells"]
    s_agreed: float
    reached_edge: bool

    @property
    def angstrom(self) -> float | None:
        """The resolution by the rule ``icc_half_0.143``; None if the halves never agree."""
        return 1 / self.s_agreed if self.s_agreed > 0 else None


def agreement(halves: list[Volume], s_min: float, s_max: float) -> Agreement | None:
    """Compare two half-volumes between two |s|; None where there is only one set."""
    if len(halves) != 2:
        return None
    first, second = (half.values.cpu() for half in halves)
    curve = intensity_correlation(first, second)
    s = shell_s(halves[0].grid, halves[0].spacing)
    found = first_crossing(curve, s, _LEVEL, RULE, (s_min, s_max))
    inside = (s >= s_min) & (s <= s_max) & curve.isfinite()
    return Agreement(
        s_per_angstrom=s[inside],
        correlation=curve[inside],
        s_agreed=0.0 if found.angstrom is None else 1 / found.angstrom,
        reached_edge=found.reached_edge,
    )


def combined(sums: list[Accumulator]) -> Accumulator:
    """Return the sums of all sets together."""
    return Accumulator(
        photons=torch.stack([one.photons for one in sums]).sum(0),
        exposure=torch.stack([one.exposure for one in sums]).sum(0),
        spacing=sums[0].spacing,
    )
