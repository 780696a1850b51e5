"""Working through one round: poses, weights and sums block by block, then volumes and verdicts."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from xrai.poses.cells import CellProposals
from xrai.poses.finder import PoseFinder, Proposals
from xrai.poses.posterior import Posterior
from xrai.poses.refine import Poses
from xrai.rounds import outliers
from xrai.rounds.figures import cells, disconcurrence, figures, lit_rows, rivals
from xrai.rounds.proposals import proposals
from xrai.rounds.sampling import choose_oversampling
from xrai.rounds.schedule import reads_once
from xrai.rounds.volumes import renew_volumes
from xrai.state.monitor import Monitor
from xrai.state.round import FINAL, MARCH, MOVED, ONLINE, REHEAT, RELOCATE, Round
from xrai.state.state import State
from xraisim.core.halves import Agreement, agreement, members
from xraisim.core.merge import Accumulator, intensity_grid
from xraisim.core.misfit import goodness
from xraisim.core.random import generator
from xraisim.core.types import Photons, Volume

_NAMES = {
    ONLINE: "new patterns",
    MARCH: "refine",
    REHEAT: "search again",
    FINAL: "refine together",
    RELOCATE: "locate again",
}

# Columns that a round fills in.
_FOUND = (
    "orientations", "loglik", "error_deg", "mate_margin", "turned_deg", "misfit", "unexplained",
    "fluence", "weight",
)  # fmt: skip

AfterBlock = Callable[[State], None]


def begin(finder: PoseFinder, state: State, round_: Round) -> None:
    """Make ``round_`` the one being worked on, with the sums that it begins with."""
    state.grow(round_.stop)
    state.oversampling = state.oversampling or choose_oversampling(finder, state.require_volume())
    if round_.merges:
        state.sums = _first_sums(finder, round_, state)
    state.round, state.position = round_, round_.first


def run_round(
    finder: PoseFinder, state: State, round_: Round, monitor: Monitor, after_block: AfterBlock
) -> None:
    """Work through the round of a state, from ``state.position`` on.

    ``after_block`` may write a checkpoint and end the run.
    """
    began, first = time.monotonic(), state.position
    propose, last = None, _last_block(finder, round_) if first == round_.stop else None
    title = f"{_NAMES[round_.kind]} to {1 / round_.s_now:.1f} Å"
    with monitor.progress(title, round_.stop - first) as advance:
        for rows, photons in finder.stream.blocks(first, round_.stop):
            if propose is None and (round_.locates or round_.kind == REHEAT):
                propose = proposals(finder, state, round_, photons, monitor)
            if finder.is_mine(rows):
                _block(finder, state, round_, rows, photons, propose)
                last = rows, photons
            state.position = rows.stop
            after_block(state)
            advance(len(photons))
    verdict = _finish(finder, state, round_)
    seconds = time.monotonic() - began
    asked = round_.merges and round_.kind != FINAL
    if asked:
        probed = round_.kind == MARCH or reads_once(finder)
        state.rivals = (
            finder.processes.agreed(rivals(finder, state, round_, last)) if probed else None
        )
    monitor.log(
        "round",
        **figures(finder, state, round_, verdict),
        patterns_per_s=(round_.stop - first) / seconds,
        disconcurrence_deg=disconcurrence(finder, state, round_, last),
        rivals=state.rivals if asked else None,
        **cells(propose),
    )


def _last_block(finder: PoseFinder, round_: Round) -> tuple[slice, Photons] | None:
    """Return the last block of a round that was stopped behind it, if it can be read again."""
    if not finder.stream.rereadable:
        return None
    last = round_.stop - 1
    begin = max(round_.first, last - last % finder.config.block)
    (block,) = finder.stream.blocks(begin, round_.stop)
    return block


def _first_sums(finder: PoseFinder, round_: Round, state: State) -> list[Accumulator]:
    """Return the sums that a round begins with: what it keeps of the former ones, per set."""
    diameter = finder.stream.diameter_angstrom
    grid, spacing = intensity_grid(round_.s_next, diameter, state.oversampling)
    former = state.sums
    if round_.keep == 0 or not former:
        return [Accumulator.empty(grid, spacing, finder.device) for _ in range(finder.sets)]
    grid = max(grid, former[0].photons.shape[0])
    return [one.padded(grid).faded(round_.keep) for one in former]


def _references(finder: PoseFinder, state: State, round_: Round) -> list[Volume]:
    """Return the volume that each set is posed against: in the end all patterns' one."""
    return [state.require_volume()] * finder.sets if round_.kind == FINAL else state.volumes


def _block(
    finder: PoseFinder,
    state: State,
    round_: Round,
    rows: slice,
    photons: Photons,
    propose: Proposals | None,
) -> None:
    """Pose and merge a block."""
    before = state.columns["orientations"][rows].clone()
    references = _references(finder, state, round_)
    for which, some in enumerate(members(rows, finder.sets)):
        if not len(some):
            continue
        index, chosen = some + rows.start, photons.take(some.numpy())
        modes = _posed(finder, state, round_, references[which], chosen, index, propose)
        pixels = finder.pixels_within(round_.s_now)
        lever = round_.s_now * finder.stream.diameter_angstrom
        posterior = Posterior(references[which], pixels, chosen, modes, lever)
        _merge(finder, state, round_, state.sums[which], index, posterior)
    turned = finder.apart(before, state.columns["orientations"][rows])
    # A pattern that had no pose has turned as far as can be.
    state.columns["turned_deg"][rows] = torch.rad2deg(turned).nan_to_num(180.0)


def _posed(
    finder: PoseFinder,
    state: State,
    round_: Round,
    volume: Volume,
    photons: Photons,
    index: Tensor,
    propose: Proposals | None,
) -> list[Poses]:
    """Find poses from nothing where somebody proposes, else from those held; or the better of both.

    A pose that is searched again has to be likelier than the one held.
    """
    if propose is not None and round_.locates:
        if isinstance(propose, CellProposals):
            return finder.locate_in_cells(volume, photons, propose, round_.s_now)
        return [finder.locate(volume, photons, propose, round_.s_now)]
    held = finder.refine(
        volume,
        photons,
        state.columns["orientations"][index].to(finder.device),
        round_.s_now,
        margin=state.columns["mate_margin"][index].to(finder.device),
        mates=round_.number % finder.config.refine.mates_every == 0,
    )
    if propose is not None:
        held = finder.search_again(volume, photons, held, propose, round_.s_now)
    return [held]


def _merge(
    finder: PoseFinder,
    state: State,
    round_: Round,
    sums: Accumulator,
    index: Tensor,
    posterior: Posterior,
) -> None:
    """Keep what was found of patterns of one set, and add them to its sums in rounds that merge."""
    volume, photons, poses = posterior.volume, posterior.photons, posterior.likeliest
    found = goodness(volume, posterior.pixels, photons, poses.quaternion)
    weight = outliers.weights(found.misfit, found.unexplained, state.usual)
    weight = weight * (found.fluence > 0)
    for name, values in (
        ("orientations", poses.quaternion),
        ("loglik", poses.loglik),
        ("error_deg", torch.rad2deg(poses.error_rad).float()),
        ("mate_margin", poses.mate_margin.float()),
        ("misfit", found.misfit.float()),
        ("unexplained", found.unexplained.float()),
        ("fluence", found.fluence.float()),
        ("weight", weight),
    ):
        state.columns[name][index] = values.cpu()
    if not round_.merges:
        return
    random = generator(finder.config.seed, f"draw/{round_.number}/{int(index[0])}", finder.device)
    reach = finder.pixels_within(round_.s_next)
    sums.add(reach, photons, posterior.draw(random), found.fluence.float(), volume, weight)


def _finish(finder: PoseFinder, state: State, round_: Round) -> Agreement | None:
    """Turn sums into volumes, compare the halves, and set the limits for the next round."""
    _gather(finder, state, round_)
    state.rounds, state.round, state.proposing = round_.number, None, ""
    if not round_.merges:
        state.early = 0
        return None
    rows = slice(round_.first, round_.stop)
    columns, lit = state.columns, lit_rows(state, rows)
    if len(lit):
        before, state.usual = (
            state.usual,
            outliers.usual(columns["misfit"][lit], columns["unexplained"][lit]),
        )
        state.sharper = before is None or outliers.sharper(before, state.usual)
        _mark_early(finder, state, round_)
        state.turned = float(columns["turned_deg"][lit].median())
    for which, index in enumerate(members(rows, finder.sets)):
        state.sums[which] = _fix_scale(state, state.sums[which], index + rows.start)
    verdict = None
    # A stretch of dark shots leaves volumes and limits as they were.
    if all(bool((one.photons > 0).any()) for one in state.sums):
        verdict = _renew(finder, state, round_)
    state.finals += round_.kind == FINAL
    state.reheats += round_.kind == REHEAT
    state.seen = max(state.seen, round_.stop)
    return verdict


def _mark_early(finder: PoseFinder, state: State, round_: Round) -> None:
    """Call those of all rounds before early, until patterns fit no better than in the last one."""
    if round_.kind == ONLINE and reads_once(finder) and not state.stands:
        state.stands = not state.sharper
        state.early = state.early if state.stands else round_.first


def _renew(finder: PoseFinder, state: State, round_: Round) -> Agreement | None:
    """Make volumes of the sums, and of how far the halves agree the limits of the next round."""
    renew_volumes(finder, state, sets=round_.kind != FINAL)
    if round_.kind == FINAL:
        return None
    verdict = agreement(state.volumes, float(finder.pixels.radius[0]), round_.s_next)
    state.agreed = _agreed(finder, verdict)
    state.resolution = None if verdict is None else verdict.resolution
    stands = round_.kind == MARCH and round_.s_now <= state.limit * MOVED
    state.stalled = state.stalled + 1 if stands else 0
    state.limit = round_.s_now
    return verdict


def _agreed(finder: PoseFinder, verdict: Agreement | None) -> float:
    """Return the |s| to which the limit may move; what was not compared does not hold it back."""
    return finder.s_edge if verdict is None or verdict.resolution.reached_edge else verdict.s_agreed


def _gather(finder: PoseFinder, state: State, round_: Round) -> None:
    """Bring together what the processes found of their shares of the round."""
    if finder.processes.count == 1:
        return
    for one in state.sums if round_.merges else ():
        finder.processes.sum(one.photons, one.exposure)
    block = finder.config.block
    first = torch.arange(round_.first, round_.stop)
    foreign = (first // block) % finder.processes.count != finder.processes.rank
    for name in _FOUND:
        found = state.columns[name][round_.first : round_.stop]
        found[foreign] = 0
        finder.processes.sum(found)


def _fix_scale(state: State, sums: Accumulator, index: Tensor) -> Accumulator:
    """Return sums as if the mean fluence of a set were one: fluence and intensity trade off."""
    fluence, weight = state.columns["fluence"], state.columns["weight"][index]
    mean = float((fluence[index] * weight).sum() / weight.sum().clamp_min(1e-6))
    if mean <= 0:
        return sums
    fluence[index] /= mean
    return Accumulator(sums.photons, sums.exposure / mean, sums.spacing)
