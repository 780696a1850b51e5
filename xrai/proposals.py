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
from jaxtyping import Float
from torch import Tensor

from xrai.checkpoint import State
from xrai.encoder import Encoder
from xrai.lessons import encoder_of, pixels_of
from xrai.march import March, Proposals
from xrai.monitor import Monitor
from xrai.poses import prune
from xrai.rounds import REHEAT, Round
from xraisim.core import so3
from xraisim.core.likelihood import candidate_loglik
from xraisim.core.types import Photons, Pixels, Volume

_PROBE = 256
_FEWEST_CELLS, _MOST_CELLS = 4, 64  # of the encoder's posterior that the likelihood ranks
_AMONG = 0.95
_MOST_FOLLOWED = 4
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

    ``ranked``: how many of its posterior are; ``followed``: how many of these are refined.
    """

    volume: Volume
    pixels: Pixels
    encoder: Encoder
    encoder_pixels: Pixels
    ranked: int = 4
    followed: int = 1

    @property
    def s_max(self) -> float:
        """The |s| (Å⁻¹) of the outermost pixel by which cells are ranked."""
        return float(self.pixels.radius[-1])

    def best(self, photons: Photons, keep: int) -> Float[Tensor, "n keep 4"]:
        """Return the ``keep`` likeliest of the cells."""
        cells = self._cells(photons, max(keep, self.ranked))
        return prune(self.volume, self.pixels, photons, cells, keep)

    def starts(self, photons: Photons) -> Float[Tensor, "n c 4"]:
        """Return the cells to follow, the likeliest first."""
        return self.best(photons, self.followed)

    def enough(self, photons: Photons) -> tuple[int, int]:
        """Return how many cells to rank and to follow for patterns such as these.

        So many that the likeliest of the first 64 is among them for nineteen in twenty; and as many
        as the likelihood leaves open, e to the mean entropy of their weights.
        """
        cells = self._cells(photons, _MOST_CELLS)
        loglik, _ = candidate_loglik(self.volume, self.pixels, photons, cells)
        rank = loglik.argmax(1).double().quantile(_AMONG)
        open_cells = torch.special.entr(loglik.softmax(1)).sum(1).mean().exp()
        ranked = min(max(math.ceil(float(rank)) + 1, _FEWEST_CELLS), _MOST_CELLS)
        return ranked, min(max(round(float(open_cells)), 1), _MOST_FOLLOWED)

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
        enough = cells.enough(probe) if len(probe) else (_FEWEST_CELLS, 1)
        state.proposing = "/".join(f"{march.processes.agreed(one):.0f}" for one in enough)
    ranked, followed = map(int, state.proposing.split("/"))
    return replace(cells, ranked=ranked, followed=followed)


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
