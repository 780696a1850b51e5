"""Where poses of new patterns are looked for: a whole grid, or the encoder's hypotheses.

Both end in the same refinement by likelihood. The encoder takes over in a round where it costs less
than half of the grid, and where on a probe of its patterns the poses it leads to are as likely.
Costs are counted, not timed, so that the same seed takes the same path on every machine.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np

from xrai.poses.cells import FEWEST_CELLS, CellProposals
from xrai.poses.finder import PoseFinder, Proposals
from xrai.poses.heads import HeadProposals
from xrai.rounds.encoder_training import encoder_of, pixels_of
from xrai.state.monitor import Monitor
from xrai.state.round import REHEAT, Round
from xrai.state.state import State
from xraisim.core.types import Photons

_PROBE = 256
_AS_GOOD = 0.97  # of the probe has to be as likely from the encoder's hypotheses
_TIE = 1.0  # nats
_CHEAPER = 0.5


class Costed(Proposals, Protocol):
    """Proposals that know what they cost."""

    @property
    def cost(self) -> int:
        """Work per pattern, in multiply-adds of a large matrix product."""


def proposals(
    finder: PoseFinder, state: State, round_: Round, photons: Photons, monitor: Monitor
) -> Proposals:
    """Return where to look in the round at hand, judged on the first of its ``photons``."""
    volume = state.require_volume()
    if round_.kind == REHEAT:
        return finder.wide_grid(volume, f"search/{round_.number}", round_.s_now)
    grid = finder.grid(volume, f"search/{state.rounds + 1}")
    encoder = encoder_of(finder, state)
    if encoder is None:
        return grid
    low = finder.pixels_within(finder.s_search)
    if finder.config.mode == "amortised":
        return _cells(
            finder, state, CellProposals(volume, low, encoder, pixels_of(finder)), photons
        )
    heads = HeadProposals(volume, low, encoder, pixels_of(finder))
    if not state.proposing:
        state.proposing = _choice(finder, state, grid, heads, photons, monitor)
    return heads if state.proposing == "heads" else grid


def _cells(
    finder: PoseFinder, state: State, cells: CellProposals, photons: Photons
) -> CellProposals:
    """Return proposals of as many cells as a probe of the round asks for."""
    if not state.proposing:
        probe = photons.take(photons.lit()[:_PROBE])
        how = finder.config.refine.iterations, finder.max_step(cells.s_max)
        ranked, gap = cells.enough(probe, *how) if len(probe) else (FEWEST_CELLS, 0.0)
        agreed = finder.processes.agreed
        state.proposing = f"{agreed(ranked):.0f}/{agreed(gap):.1f}"
    kept = state.proposing.split("/")
    return replace(cells, ranked=int(kept[0]), gap=float(kept[1]))


def _choice(
    finder: PoseFinder,
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
        finder.locate(volume, probe, source, finder.s_search).loglik for source in (grid, heads)
    )
    as_good = finder.processes.agreed(float((of_heads >= of_grid - _TIE).double().mean()))
    monitor.log("proposals", cost_heads_over_grid=ratio, heads_as_good=as_good)
    return "heads" if as_good >= _AS_GOOD else "grid"
