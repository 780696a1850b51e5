"""Several starts as one: brought to one hand and position, and averaged."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex
from torch import Tensor

from xraisim.core.align import align_density

_ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Structure factors of each start in one frame, and how well each agrees with their mean.

    ``agreement``: whitened correlation with the mean (which holds the start itself).
    """

    factors: list[Complex[Tensor, "G G G"]]
    agreement: tuple[float, ...]

    def mean(self, count: int) -> Complex[Tensor, "G G G"]:
        """Return the mean of the first ``count``."""
        return torch.stack(self.factors[:count]).mean(0)


def align(
    factors: list[Complex[Tensor, "G G G"]], spacing: float, s_range: tuple[float, float]
) -> Aligned:
    """Bring every F to the hand and position of the first, then of their mean."""
    reference, agreement = factors[0], [1.0] * len(factors)
    for _ in range(_ROUNDS):
        placed = [align_density(one, reference, spacing, s_range) for one in factors]
        factors = [one.structure_factors for one in placed]
        agreement = [one.score for one in placed]
        reference = torch.stack(factors).mean(0)
    return Aligned(factors=factors, agreement=tuple(agreement))
