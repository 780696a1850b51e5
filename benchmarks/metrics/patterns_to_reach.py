"""What it took to get to a resolution, as far as a run can tell without the truth."""

from benchmarks.comparison import Comparison
from benchmarks.metrics.registry import Metric, register
from benchmarks.record import Value
from benchmarks.trajectories import PATTERNS, find
from xraisim.core.halves import RULE

NAME = "patterns_to_reach_angstrom"


def measure(comparison: Comparison) -> Value | None:
    """Return the patterns of all rounds up to the first that got there.

    None for a method that logs no rounds.
    """
    events = comparison.found.events
    if not any(one.get("event") == "round" for one in events):
        return None
    told = find(events, RULE, PATTERNS)
    for patterns, reached in zip(told.x, told.value, strict=True) if told else ():
        if reached is not None and reached <= comparison.config.reach_angstrom:
            return Value(value=patterns)
    return Value(value=None)


register(
    Metric(
        name=NAME,
        rule=f"patterns looked at, again and again counts, until the half-sets agreed by {RULE} to "
        "the task's score.reach_angstrom",
        unit="patterns",
        better="lower",
        measure=measure,
        digits=0,
        in_table=False,
        least_spread=(0.05, 0.0),
    )
)
