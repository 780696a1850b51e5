"""Poses searched for from nothing: templates at a grid of rotations, and exact re-ranking."""

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.poses.likelihood import PoseLikelihood
from xraisim.core import rotations, so3
from xraisim.core.entries import dense_counts
from xraisim.core.search import grid_loglik, log_templates
from xraisim.core.types import Photons, Pixels, Volume


class GridSearch:
    """Templates of one volume at a grid of rotations, ready to score any number of patterns.

    ``s_max``: the |s| (Å⁻¹) of the outermost of the ``pixels``.
    """

    def __init__(self, volume: Volume, pixels: Pixels, count: int, random: torch.Generator) -> None:
        grid = so3.super_fibonacci(count).to(random.device)
        self.grid = rotations.multiply(so3.haar(1, random), grid)
        self.s_max = float(pixels.radius[-1])
        self._pixels = len(pixels)
        self._templates = log_templates(volume, pixels, self.grid).contiguous()

    @property
    def cost(self) -> int:
        """Multiply-adds per pattern."""
        return len(self.grid) * self._pixels

    def best(self, photons: Photons, keep: int) -> Float[Tensor, "n keep 4"]:
        """Return the ``keep`` likeliest grid rotations of each pattern."""
        counts = dense_counts(photons, self._pixels, self.grid.device)
        return self.grid[grid_loglik(counts, self._templates).topk(keep, dim=1).indices]


def prune(
    likelihood: PoseLikelihood, hypotheses: Float[Tensor, "n C 4"], keep: int
) -> Float[Tensor, "n keep 4"]:
    """Return the ``keep`` likeliest hypotheses by the exact likelihood, the best first."""
    order = likelihood.of(hypotheses).topk(keep, dim=1).indices
    return hypotheses.gather(1, order[..., None].expand(-1, -1, 4))
