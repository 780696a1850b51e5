"""What a method measures of its poses without the truth: those by its half-sets against each other.

Orientation disconcurrence (Shen, Teo, Ayyer & Loh 2021, Sci. Rep. 11, 971): two volumes that were
reconstructed apart each give the orientations of the same patterns, and the angle between the two
says how far poses are determined by what the volumes have in common. Shen et al. ask it of patterns
that neither volume has seen. A run of X-RAI asks it of some of its own (each is in one of the
halves), which is milder; and half-volumes that share a start share its mistakes.
"""

from benchmarks.comparison import Comparison
from benchmarks.metrics.registry import Metric, register
from benchmarks.record import Value
from benchmarks.trajectories import SECONDS, find

NAME = "disconcurrence_half_median_deg"


def measure(comparison: Comparison) -> Value | None:
    """Return the last one that the method's log tells, None where it tells none."""
    told = find(comparison.found.events, NAME, SECONDS)
    known = [one for one in told.value if one is not None] if told else []
    return Value(value=round(known[-1], 4)) if known else None


register(
    Metric(
        name=NAME,
        rule="median angle between the poses of the same patterns against the volumes of two "
        "half-sets, modulo the point group, as the method says",
        unit="°",
        better="lower",
        measure=measure,
        digits=2,
        in_table=False,
        least_spread=(0.05, 0.02),
    )
)
