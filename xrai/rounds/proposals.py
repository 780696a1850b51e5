"""Where poses of new patterns are looked for: a whole grid, or what the encoder proposes.

Both end in the same refinement by likelihood. The encoder takes over in a round where it costs less
than half of the grid, and where on a probe of its patterns the poses it leads to are as likely.
Costs are counted, not timed, so that the same seed takes the same path on every machine.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np

from xrai.poses.cells import FEWEST_CELLS, CellProposals
from xrai.poses.finder import Proposals
from xrai.poses.hypotheses import EncoderHypotheses
from xrai.rounds.encoder_training import encoder_of, pixels_of
from xrai.rounds.reconstruction import ActiveRound
from xrai.state.round import GLOBAL_SEARCH
from xraisim.core.types import Photons

_PROBE = 256
_AS_GOOD = 0.97  # of the probe has to be as likely from the encoder's hypotheses
_TIE = 1.0  # nats
_CHEAPER = 0.5
_GRID, _ENCODER = "grid", "encoder"


class Costed(Proposals, Protocol):
    """Proposals that know what they cost."""

    @property
    def cost(self) -> int:
        """Work per pattern, in multiply-adds of a large matrix product."""


def choose_proposals(active: ActiveRound, photons: Photons) -> None:
    """Choose who proposes in a round, judged on the first of its ``photons``; once per round."""
    state = active.state
    if state.proposing or active.round.kind == GLOBAL_SEARCH:
        return
    by_encoder = _of_encoder(active)
    if by_encoder is None:
        return
    if isinstance(by_encoder, CellProposals):
        state.cells_ranked, state.cells_gap = _enough_cells(active, by_encoder, photons)
        state.proposing = _ENCODER
    else:
        state.proposing = _cheaper(active, by_encoder, photons)


def proposals_of(active: ActiveRound) -> Proposals:
    """Return where to look in a round, as was chosen."""
    finder, state, round_ = active.finder, active.state, active.round
    if round_.kind == GLOBAL_SEARCH:
        volume = state.require_volume()
        return finder.wide_grid(volume, f"search/{round_.number}", round_.s_now)
    by_encoder = _of_encoder(active)
    if by_encoder is None or state.proposing != _ENCODER:
        return _grid(active)
    if isinstance(by_encoder, CellProposals):
        return replace(by_encoder, ranked=state.cells_ranked, gap=state.cells_gap)
    return by_encoder


def _grid(active: ActiveRound) -> Costed:
    state = active.state
    return active.finder.grid(state.require_volume(), f"search/{state.rounds + 1}")


def _of_encoder(active: ActiveRound) -> CellProposals | EncoderHypotheses | None:
    """Return what the encoder proposes, as the mode has it; None while there is none."""
    finder, encoder = active.finder, encoder_of(active.finder, active.state)
    if encoder is None:
        return None
    low = finder.pixels_within(finder.s_search)
    kind = CellProposals if finder.config.mode == "amortised" else EncoderHypotheses
    return kind(active.state.require_volume(), low, encoder, pixels_of(finder))


def _enough_cells(active: ActiveRound, cells: CellProposals, photons: Photons) -> tuple[int, float]:
    """Return how many cells to rank, and to what gap to follow them, by a probe of the round."""
    finder, probe = active.finder, photons.take(photons.lit()[:_PROBE])
    steps = finder.steps(cells.s_max)
    ranked, gap = cells.enough(probe, steps) if len(probe) else (FEWEST_CELLS, 0.0)
    agreed = finder.processes.agreed
    return round(agreed(ranked)), float(f"{agreed(gap):.1f}")


def _cheaper(active: ActiveRound, hypotheses: Costed, photons: Photons) -> str:
    """Return the encoder if it is much cheaper than the grid and as good, else the grid."""
    finder, grid = active.finder, _grid(active)
    ratio = hypotheses.cost / grid.cost
    if ratio >= _CHEAPER:
        return _GRID
    probe = photons.take(np.arange(min(_PROBE, len(photons))))
    volume = active.state.require_volume()
    of_grid, of_encoder = (
        finder.locate(volume, probe, proposals, finder.s_search).loglik
        for proposals in (grid, hypotheses)
    )
    as_good = finder.processes.agreed(float((of_encoder >= of_grid - _TIE).double().mean()))
    active.monitor.log("proposals", cost_encoder_over_grid=ratio, encoder_as_good=as_good)
    return _ENCODER if as_good >= _AS_GOOD else _GRID
