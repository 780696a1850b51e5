"""Where poses of new patterns are looked for: a whole grid, or the encoder's hypotheses.

Both end in the same refinement by likelihood. The encoder takes over in a round where it costs less
than half of the grid, and where on a probe of its patterns the poses it leads to are as likely.
Costs are counted, not timed, so that the same seed takes the same path on every machine.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from xrai.checkpoint import State
from xrai.draw import POSSIBLE
from xrai.encoder import Encoder
from xrai.lessons import encoder_of, pixels_of
from xrai.march import March, Proposals
from xrai.monitor import Monitor
from xrai.poses import angle_modulo_mate, prune, refine
from xrai.rounds import REHEAT, Round
from xraisim.core import so3
from xraisim.core.likelihood import candidate_loglik
from xraisim.core.types import Photons, Pixels, Volume

_PROBE = 256
_FEWEST_CELLS, _MOST_CELLS = 4, 64  # of the encoder's posterior that the likelihood ranks
_AMONG = 0.95
_MOST_FOLLOWED = 4
_NEIGHBOURS = 1.2  # spacings of the view directions: cells nearer than that lead to one pose
_AS_GOOD = 0.97  # of the probe has to be as likely from the encoder's hypotheses
_TIE = 1.0  # nats
_CHEAPER = 0.5
# What a step costs in multiply-adds of a large matrix product, as measured on x86 processors.
_LOOK_UP = 400  # of one pixel of a candidate in the volume
_NETWORK = 7  # a multiply-add of the encoder's small layers, between which memory decides


class Costed(Proposals, Protocol):
    """Proposals that know what they cost."""

    @property
    def cost(self) -> int:
        """Work per pattern, in multiply-adds of a large matrix product."""


@dataclass(frozen=True)
class HeadProposals:
    """The encoder's hypotheses and their near-symmetric mates, ranked by the exact likelihood."""

    volume: Volume
    pixels: Pixels
    encoder: Encoder
    encoder_pixels: Pixels

    @property
    def s_max(self) -> float:
        """The |s| (Å⁻¹) of the outermost pixel by which hypotheses are ranked."""
        return float(self.pixels.radius[-1])

    @property
    def cost(self) -> int:
        """Work per pattern, in multiply-adds of a large matrix product."""
        candidates = 2 * self.encoder.heads
        ranking = _LOOK_UP * candidates * len(self.pixels)
        return _NETWORK * self.encoder.multiply_adds + ranking

    def best(self, photons: Photons, keep: int) -> Float[Tensor, "n keep 4"]:
        """Return the ``keep`` likeliest of the hypotheses."""
        counts = photons.dense(len(self.encoder_pixels)).to(self.pixels.s.device)
        heads = self.encoder.propose(counts).heads
        both = torch.cat([heads, so3.in_plane_mate(heads)], 1)
        return prune(self.volume, self.pixels, photons, both, min(keep, both.shape[1]))


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
    ranked: int = _FEWEST_CELLS
    gap: float = 0.0

    @property
    def s_max(self) -> float:
        """The |s| (Å⁻¹) of the outermost pixel by which cells are ranked."""
        return float(self.pixels.radius[-1])

    def best(self, photons: Photons, keep: int) -> Float[Tensor, "n keep 4"]:
        """Return the ``keep`` likeliest of the cells."""
        cells = self._cells(photons, max(keep, self.ranked))
        return prune(self.volume, self.pixels, photons, cells, keep)

    def starts(self, photons: Photons) -> list[tuple[Int[Tensor, "m"], Float[Tensor, "m 4"]]]:
        """Return the cells to follow: pattern numbers and quaternions, first the likeliest of all.

        The others are neighbours neither of it nor of each other.
        """
        cells = self._cells(photons, self.ranked)
        if self.ranked == 1:
            return [(torch.arange(len(photons), device=cells.device), cells[:, 0].contiguous())]
        loglik, _ = candidate_loglik(self.volume, self.pixels, photons, cells)
        pose, gap, _ = self._apart(cells, loglik, _MOST_FOLLOWED if self.gap > 0 else 1)
        found = [torch.nonzero(column <= self.gap)[:, 0] for column in gap.unbind(1)]
        return [(index, pose[index, c]) for c, index in enumerate(found) if len(index)]

    def enough(self, photons: Photons, iterations: int, max_step_rad: float) -> tuple[int, float]:
        """Return how many cells to rank, and to what gap (nats) to follow them, for such patterns.

        So many that for nineteen in twenty the cell that leads to the likeliest pose is among them,
        and so far that all those are that lead to a pose that remains possible.
        """
        cells = self._cells(photons, _MOST_CELLS)
        loglik, _ = candidate_loglik(self.volume, self.pixels, photons, cells)
        pose, gap, rank = self._apart(cells, loglik, _MOST_FOLLOWED)
        arguments = (self.volume, self.pixels, photons)
        led = [
            refine(*arguments, one.contiguous(), iterations, max_step_rad) for one in pose.unbind(1)
        ]
        value = torch.stack([one.loglik for one in led], 1)
        best, which = value.max(1)
        every = torch.arange(len(best), device=which.device)
        likeliest = torch.stack([one.quaternion for one in led], 1)[every, which]
        apart = torch.stack(
            [angle_modulo_mate(one.quaternion, likeliest, self.encoder.group) for one in led], 1
        )
        # Of the cells that lead to the likeliest pose, the likeliest is enough.
        there = apart < math.degrees(max_step_rad)
        there.scatter_(1, which[:, None], True)
        first = there.int().argmax(1)
        possible = ~there & (value > best[:, None] - POSSIBLE) & gap.isfinite()
        needed = torch.maximum(gap[every, first], gap.masked_fill(~possible, 0).max(1).values)
        ranked = math.ceil(float(rank[every, first].double().quantile(_AMONG))) + 1
        ranked = min(max(ranked, _FEWEST_CELLS), _MOST_CELLS)
        return ranked, float(needed.double().quantile(_AMONG))

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

    def _cells(self, photons: Photons, number: int) -> Tensor:
        counts = photons.dense(len(self.encoder_pixels)).to(self.pixels.s.device)
        return self.encoder.likeliest_cells(counts, number)


def proposals(
    march: March, state: State, round_: Round, photons: Photons, monitor: Monitor
) -> Proposals:
    """Return where to look in the round at hand, judged on the first of its ``photons``."""
    volume = state.require_volume()
    if round_.kind == REHEAT:
        return march.wide_grid(volume, f"search/{round_.number}", round_.s_now)
    grid = march.grid(volume, f"search/{state.rounds + 1}")
    encoder = encoder_of(march, state)
    if encoder is None:
        return grid
    low = march.pixels_within(march.s_search)
    if march.config.mode == "amortised":
        return _cells(march, state, CellProposals(volume, low, encoder, pixels_of(march)), photons)
    heads = HeadProposals(volume, low, encoder, pixels_of(march))
    if not state.proposing:
        state.proposing = _choice(march, state, grid, heads, photons, monitor)
    return heads if state.proposing == "heads" else grid


def _cells(march: March, state: State, cells: CellProposals, photons: Photons) -> CellProposals:
    """Return proposals of as many cells as a probe of the round asks for."""
    if not state.proposing:
        probe = photons.take(photons.lit()[:_PROBE])
        how = march.config.refine.iterations, march.max_step(cells.s_max)
        ranked, gap = cells.enough(probe, *how) if len(probe) else (_FEWEST_CELLS, 0.0)
        agreed = march.processes.agreed
        state.proposing = f"{agreed(ranked):.0f}/{agreed(gap):.1f}"
    kept = state.proposing.split("/")
    return replace(cells, ranked=int(kept[0]), gap=float(kept[1]))


def _choice(
    march: March,
    state: State,
    grid: Costed,
    heads: Costed,
    photons: Photons,
    monitor: Monitor,
) -> str:
    ratio = heads.cost / grid.cost
    if ratio >= _CHEAPER:
        return "grid"
    probe = photons.take(np.arange(min(_PROBE, len(photons))))
    volume = state.require_volume()
    of_grid, of_heads = (
        march.locate(volume, probe, source, march.s_search).loglik for source in (grid, heads)
    )
    as_good = march.processes.agreed(float((of_heads >= of_grid - _TIE).double().mean()))
    monitor.log("proposals", cost_heads_over_grid=ratio, heads_as_good=as_good)
    return "heads" if as_good >= _AS_GOOD else "grid"
