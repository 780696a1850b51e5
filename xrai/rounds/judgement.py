"""What a round says of the next: how the patterns fit, and how far the half-sets agree."""

from xrai.poses.finder import PoseFinder
from xrai.rounds import outliers
from xrai.rounds.figures import rivals
from xrai.rounds.reconstruction import ActiveRound, Block
from xrai.rounds.schedule import reads_once
from xrai.state.round import MOVED, ONLINE, REFINE
from xraisim.core import halves
from xraisim.core.halves import Agreement


def note_fit(active: ActiveRound) -> None:
    """Note how the patterns of a round fit, whether better than before, and how far they turned."""
    state, lit = active.state, active.lit(active.rows)
    if not len(lit):
        return
    before, columns = state.typical_fit, state.columns
    state.typical_fit = outliers.typical_fit(columns["misfit"][lit], columns["unexplained"][lit])
    state.sharper = before is None or outliers.sharper(before, state.typical_fit)
    _mark_early(active)
    state.turned = float(columns["turned_deg"][lit].median())


def _mark_early(active: ActiveRound) -> None:
    """Call those of all rounds before early, until patterns fit no better than in the last one."""
    state, round_ = active.state, active.round
    if round_.kind == ONLINE and reads_once(active.finder) and not state.stands:
        state.stands = not state.sharper
        state.early = state.early if state.stands else round_.first


def compare_halves(active: ActiveRound) -> Agreement | None:
    """Return how far the volumes of the half-sets agree; None where they share one, or none is."""
    if not active.round.compares:
        return None
    innermost = float(active.finder.pixels.radius[0])
    return halves.agreement(active.state.volumes, innermost, active.round.s_next)


def move_limits(active: ActiveRound, agreement: Agreement | None) -> None:
    """Set how far poses reach, and how far the next round may, by how far the halves agree."""
    state, round_ = active.state, active.round
    if not round_.compares:
        return
    state.agreed = _agreed(active.finder, agreement)
    state.resolution = None if agreement is None else agreement.resolution
    still = round_.kind == REFINE and round_.s_now <= state.limit * MOVED
    state.stalled = state.stalled + 1 if still else 0
    state.limit = round_.s_now


def _agreed(finder: PoseFinder, agreement: Agreement | None) -> float:
    """Return the |s| to which the limit may move; what was not compared does not hold it back."""
    if agreement is None or agreement.resolution.reached_edge:
        return finder.s_edge
    return agreement.s_agreed


def note_rivals(active: ActiveRound, last: Block | None) -> None:
    """Note for how many of a probe a search finds likelier poses; None where none was made.

    After a global search there is no need to look, and where limits do not move nobody asks.
    """
    finder, round_ = active.finder, active.round
    if round_.compares:
        probed = round_.kind == REFINE or reads_once(finder)
        share = finder.processes.agreed(rivals(active, last)) if probed else None
        active.state.rivals = share
