"""Which round comes next: decided from the state alone, so that a resumed run decides alike."""

import math

from xrai.poses.finder import PoseFinder
from xrai.state.round import FINAL, GLOBAL_SEARCH, MOVED, ONLINE, REFINE, RELOCATE, Round
from xrai.state.state import State

_SMALLEST_ROUND = 1024
_GROWTH = 8  # to how many times as many patterns a round grows
RIVALS = 0.03  # of a probe: if a search finds likelier poses for more, all are searched anew


def next_round(finder: PoseFinder, state: State) -> Round | None:
    """Return the next round; None when the run is complete.

    New patterns come first. Where the stream can be read again and is not too long, rounds over all
    patterns follow until the limit is at the detector's edge, or the halves agree no farther; then
    the final ones.
    """
    rounds = finder.config.rounds
    size = online_size(finder, state)
    stop = int(finder.processes.agreed(finder.stream.wait_for(state.seen + size)))
    if stop > state.seen:
        return _online(finder, state, stop)
    if reads_once(finder):
        return _relocation(finder, state)
    kind = _kind(finder, state)
    if kind == FINAL and state.finals >= rounds.final:
        return None
    s_now = state.limit if state.finals else next_limit(finder, state)
    s_next = finder.s_edge if kind == FINAL else min(s_now * rounds.ratio, finder.s_edge)
    return Round(
        number=state.rounds + 1, kind=kind, first=0, stop=state.seen, s_now=s_now, s_next=s_next
    )


def reads_once(finder: PoseFinder) -> bool:
    """Whether every pattern is looked at once only."""
    rounds, stream = finder.config.rounds, finder.stream
    too_long = len(stream) > rounds.read_once_above
    return finder.config.single_pass or too_long or not stream.rereadable


def more_may_come(finder: PoseFinder, state: State, after: Round) -> bool:
    """Whether patterns that nobody has seen may follow a round of such."""
    stream = finder.stream
    all_seen = stream.ended and state.seen >= len(stream) and not reads_once(finder)
    return after.kind == ONLINE and not all_seen


def online_size(finder: PoseFinder, state: State) -> int:
    """Return how many new patterns make a round, a whole number of blocks where there are many.

    A data set of known length that is read once is cut into as many rounds as there are steps
    outwards. Once the limit is at the edge and the volume no longer gets sharper, what is new
    changes little: rounds grow with what has been seen.
    """
    config, stream = finder.config, finder.stream
    size = config.rounds.patterns
    if stream.ended and reads_once(finder):
        rungs = math.log(finder.s_edge / finder.s_search) / math.log(config.rounds.ratio)
        size = min(size, max(_SMALLEST_ROUND, math.ceil(len(stream) / (rungs + 2))))
    if reads_once(finder) and state.limit >= finder.s_edge / MOVED and not state.sharper:
        size = max(size, min(state.seen // 2, _GROWTH * config.rounds.patterns))
    return max(1, round(size / config.block)) * config.block if size > config.block else size


def _online(finder: PoseFinder, state: State, stop: int) -> Round:
    rounds = finder.config.rounds
    s_now = next_limit(finder, state) if state.rounds and reads_once(finder) else finder.s_search
    moving = s_now > state.limit * MOVED
    return Round(
        number=state.rounds + 1,
        kind=ONLINE,
        first=state.seen,
        stop=stop,
        s_now=s_now,
        s_next=min(s_now * rounds.ratio, finder.s_edge),
        keep=(rounds.keep if moving or state.sharper else 1.0) if state.rounds else 0.0,
    )


def _relocation(finder: PoseFinder, state: State) -> Round | None:
    """Return the round over the patterns posed too early, if they can be had again."""
    stream = finder.stream
    if state.early == 0 or not (stream.rereadable or stream.keeps(state.early)):
        return None
    return Round(
        number=state.rounds + 1, kind=RELOCATE, first=0, stop=state.early,
        s_now=state.limit, s_next=state.limit,
    )  # fmt: skip


def next_limit(finder: PoseFinder, state: State) -> float:
    """Return the next |s| limit: a rung farther, but not beyond where the halves agree."""
    farther = min(state.limit * finder.config.rounds.ratio, finder.s_edge)
    return max(finder.s_search, min(farther, state.agreed))


def _kind(finder: PoseFinder, state: State) -> str:
    """Return what is done with all patterns: poses are doubtful, the limit moves, or does not."""
    rounds = finder.config.rounds
    at_edge = state.limit >= finder.s_edge * (1 - 1e-6)
    if state.finals:
        return FINAL
    if state.rivals is None:  # nobody has looked since they were searched: not the end
        return REFINE
    if state.rivals > RIVALS and state.global_searches < rounds.global_searches:
        return GLOBAL_SEARCH
    at_rest = at_edge and finder.at_rest(state.turned, state.limit)
    return FINAL if at_rest or state.stalled >= rounds.patience else REFINE
