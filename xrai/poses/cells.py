"""Poses that the encoder of mode ``amortised`` proposes: the likeliest cells of its posterior."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xrai.encoder import Encoder
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.posterior import POSSIBLE
from xrai.poses.refine import NewtonSteps, refine
from xrai.poses.search import prune
from xraisim.core.symmetry import angle_modulo_mate
from xraisim.core.types import Photons, Pixels, Volume

_MOST_CELLS = 64  # of the encoder's posterior that the likelihood ranks
FEWEST_CELLS = 4
AMONG = 0.95  # of the patterns: the cell that leads to the likeliest pose is among those ranked
_MOST_FOLLOWED = 4
_NEIGHBOURS = 1.2  # spacings of the view directions: cells nearer than that lead to one pose


@dataclass(frozen=True)
class CellProposals:
    """The encoder's likeliest cells, ranked by the likelihood; near-symmetric mates are one.

    ``ranked``: how many of its posterior are; ``gap``: by how many nats a cell may be less likely
    than the best and be followed all the same.
    """

    volume: Volume
    pixels: Pixels
    encoder: Encoder
    encoder_pixels: Pixels
    ranked: int = FEWEST_CELLS
    gap: float = 0.0

    @property
    def s_max(self) -> float:
        """The |s| (Å⁻¹) of the outermost pixel by which cells are ranked."""
        return float(self.pixels.radius[-1])

    def best(self, photons: Photons, keep: int) -> Float[Tensor, "n keep 4"]:
        """Return the ``keep`` likeliest of the cells."""
        cells = self._cells(photons, max(keep, self.ranked))
        return prune(self._likelihood(photons), cells, keep)

    def starts(self, photons: Photons) -> list[tuple[Int[Tensor, "m"], Float[Tensor, "m 4"]]]:
        """Return the cells to follow: pattern numbers and quaternions, first the likeliest of all.

        The others are neighbours neither of it nor of each other.
        """
        cells = self._cells(photons, self.ranked)
        if self.ranked == 1:
            return [(torch.arange(len(photons), device=cells.device), cells[:, 0].contiguous())]
        loglik = self._likelihood(photons).of(cells)
        pose, gap, _ = self._apart(cells, loglik, _MOST_FOLLOWED if self.gap > 0 else 1)
        followed = [torch.nonzero(column <= self.gap)[:, 0] for column in gap.unbind(1)]
        return [(index, pose[index, c]) for c, index in enumerate(followed) if len(index)]

    def enough(self, photons: Photons, steps: NewtonSteps) -> tuple[int, float]:
        """Return how many cells to rank, and to what gap (nats) to follow them, for such patterns.

        So many that for nineteen in twenty the cell that leads to the likeliest pose is among them,
        and so far that all those are that lead to a pose that remains possible.
        """
        cells = self._cells(photons, _MOST_CELLS)
        likelihood = self._likelihood(photons)
        pose, gap, rank = self._apart(cells, likelihood.of(cells), _MOST_FOLLOWED)
        refined = [refine(likelihood, start.contiguous(), steps) for start in pose.unbind(1)]
        value = torch.stack([poses.loglik for poses in refined], 1)
        best, which = value.max(1)
        every = torch.arange(len(best), device=which.device)
        quaternion = torch.stack([poses.quaternion for poses in refined], 1)
        likeliest, group = quaternion[every, which], self.encoder.group
        apart = torch.stack(
            [angle_modulo_mate(pose, likeliest, group) for pose in quaternion.unbind(1)], 1
        )
        # Of the cells that lead to the likeliest pose, the likeliest is enough.
        there = apart < math.degrees(steps.longest_rad)
        there.scatter_(1, which[:, None], True)
        first = there.int().argmax(1)
        possible = ~there & (value > best[:, None] - POSSIBLE) & gap.isfinite()
        needed = torch.maximum(gap[every, first], gap.masked_fill(~possible, 0).max(1).values)
        ranked = math.ceil(float(rank[every, first].double().quantile(AMONG))) + 1
        ranked = min(max(ranked, FEWEST_CELLS), _MOST_CELLS)
        return ranked, float(needed.double().quantile(AMONG))

    def _apart(
        self, cells: Float[Tensor, "n R 4"], loglik: Float[Tensor, "n R"], number: int
    ) -> tuple[Float[Tensor, "n C 4"], Float[Tensor, "n C"], Int[Tensor, "n C"]]:
        """Return the likeliest cells that are no neighbours, their gaps (nats) and which they are.

        Where there are fewer, the first stands for the others, and their gap is infinite.
        """
        left, chosen = loglik.clone(), []
        most, likeliest = loglik.max(1)
        reach = math.degrees(_NEIGHBOURS * self.encoder.cells.spacing_rad)
        for _ in range(min(number, cells.shape[1])):
            value, at = left.max(1)
            at = torch.where(value > -math.inf, at, likeliest)
            pose = cells.gather(1, at[:, None, None].expand(-1, 1, 4))
            chosen.append((pose[:, 0], most - value, at))
            near = angle_modulo_mate(
                cells.flatten(0, 1), pose.expand_as(cells).flatten(0, 1), self.encoder.group
            )
            left = left.masked_fill(near.reshape(left.shape) < reach, -math.inf)
        pose, gap, at = (torch.stack(column, 1) for column in zip(*chosen, strict=True))
        return pose, gap, at

    def _likelihood(self, photons: Photons) -> PoseLikelihood:
        return PoseLikelihood(self.volume, self.pixels, photons)

    def _cells(self, photons: Photons, number: int) -> Tensor:
        counts = photons.dense(len(self.encoder_pixels)).to(self.pixels.s.device)
        return self.encoder.likeliest_cells(counts, number)
