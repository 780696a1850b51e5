"""One round: patterns are read, get poses and are merged; then volumes, half-sets, limits."""

import time
from collections.abc import Callable

import torch

from xrai.poses.finder import PoseFinder, Proposals
from xrai.rounds.figures import cell_figures, disconcurrence, figures
from xrai.rounds.judgement import compare_halves, move_limits, note_fit, note_rivals
from xrai.rounds.posing import COLUMNS, pose_and_merge
from xrai.rounds.proposals import choose_proposals, proposals_of
from xrai.rounds.reconstruction import ActiveRound, Block
from xrai.rounds.sampling import choose_oversampling
from xrai.rounds.volumes import fix_scales, renew_volumes
from xrai.state.round import FINAL, GLOBAL_SEARCH, ONLINE, REFINE, RELOCATE, Round
from xrai.state.state import State
from xraisim.core.merge import Accumulator, intensity_grid

_TITLES = {
    ONLINE: "new patterns",
    REFINE: "refine",
    GLOBAL_SEARCH: "search globally",
    FINAL: "refine together",
    RELOCATE: "locate again",
}

AfterBlock = Callable[[State], None]


def begin(active: ActiveRound) -> None:
    """Make the round the one that the state is in, with the sums that it begins with."""
    finder, state, round_ = active.finder, active.state, active.round
    state.grow(round_.stop)
    state.oversampling = state.oversampling or choose_oversampling(finder, state.require_volume())
    if round_.merges:
        state.sums = _first_sums(active)
    state.round, state.position = round_, round_.first


def run_round(active: ActiveRound, after_block: AfterBlock) -> None:
    """Work through a round from ``state.position`` on.

    ``after_block`` may write a checkpoint and end the run.
    """
    finder, state, round_ = active.finder, active.state, active.round
    began, first = time.monotonic(), state.position
    proposals, last = _pose_and_merge(active, after_block)
    _gather(active)
    state.rounds, state.round, state.proposing = round_.number, None, ""
    agreement = None
    if round_.merges:
        note_fit(active)
        fix_scales(active)
        if _all_sets_lit(state):
            renew_volumes(finder, state, sets=round_.compares)
            agreement = compare_halves(active)
            move_limits(active, agreement)
        _count(state, round_)
    else:
        state.early = 0
    seconds = time.monotonic() - began
    note_rivals(active, last)
    active.monitor.log(
        "round",
        **figures(active, agreement),
        patterns_per_s=(round_.stop - first) / seconds,
        disconcurrence_deg=disconcurrence(active, last),
        rivals=state.rivals if round_.compares else None,
        **cell_figures(proposals),
    )


def _pose_and_merge(
    active: ActiveRound, after_block: AfterBlock
) -> tuple[Proposals | None, Block | None]:
    """Read the patterns, and pose and merge this process's share of them, block by block.

    Return where poses were looked for, and the last block.
    """
    finder, state, round_ = active.finder, active.state, active.round
    proposals, first = None, state.position
    last = _last_block(finder, round_) if first == round_.stop else None
    title = f"{_TITLES[round_.kind]} to {1 / round_.s_now:.1f} Å"
    with active.monitor.progress(title, round_.stop - first) as advance:
        for rows, photons in finder.stream.blocks(first, round_.stop):
            if proposals is None and round_.searches:
                choose_proposals(active, photons)
                proposals = proposals_of(active)
            if finder.is_mine(rows):
                last = Block(rows, photons)
                pose_and_merge(active, last, proposals)
            state.position = rows.stop
            after_block(state)
            advance(len(photons))
    return proposals, last


def _last_block(finder: PoseFinder, round_: Round) -> Block | None:
    """Return the last block of a round that was stopped behind it, if it can be read again."""
    if not finder.stream.rereadable:
        return None
    last = round_.stop - 1
    begin = max(round_.first, last - last % finder.config.block)
    (block,) = finder.stream.blocks(begin, round_.stop)
    return Block(*block)


def _first_sums(active: ActiveRound) -> list[Accumulator]:
    """Return the sums that a round begins with: what it keeps of the former ones, per set."""
    finder, state, round_ = active.finder, active.state, active.round
    diameter = finder.stream.diameter_angstrom
    grid, spacing = intensity_grid(round_.s_next, diameter, state.oversampling)
    former = state.sums
    if round_.keep == 0 or not former:
        return [Accumulator.empty(grid, spacing, finder.device) for _ in range(finder.sets)]
    grid = max(grid, former[0].photons.shape[0])
    return [sums.padded(grid).faded(round_.keep) for sums in former]


def _gather(active: ActiveRound) -> None:
    """Bring together what the processes found of their shares of the round."""
    finder, state, round_ = active.finder, active.state, active.round
    if finder.processes.count == 1:
        return
    for sums in state.sums if round_.merges else ():
        finder.processes.sum(sums.photons, sums.exposure)
    block = finder.config.block
    number = torch.arange(round_.first, round_.stop)
    foreign = (number // block) % finder.processes.count != finder.processes.rank
    for name in COLUMNS:
        column = state.columns[name][active.rows]
        column[foreign] = 0
        finder.processes.sum(column)


def _all_sets_lit(state: State) -> bool:
    """Whether every set has photons; a stretch of dark shots leaves volumes and limits alone."""
    return all(bool((sums.photons > 0).any()) for sums in state.sums)


def _count(state: State, round_: Round) -> None:
    state.finals += round_.kind == FINAL
    state.global_searches += round_.kind == GLOBAL_SEARCH
    state.seen = max(state.seen, round_.stop)
