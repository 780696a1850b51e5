"""What a method measures of itself, without the truth: its half-sets against each other."""

from benchmarks.comparison import Comparison
from benchmarks.metrics.registry import Metric, of_resolution, register
from benchmarks.record import Value
from xraisim.core.halves import LEVEL, RULE


def measure(comparison: Comparison) -> Value | None:
    """Return the resolution in the method's own result, if it is by this rule."""
    told = comparison.found.result
    if told is None or told.resolution is None or told.resolution.rule != RULE:
        return None
    return of_resolution(told.resolution)


register(
    Metric(
        name=RULE,
        rule="where the Pearson correlation of the intensities of two half-sets in a shell first "
        f"falls below {LEVEL}, as the method says",
        unit="Å",
        better="lower",
        threshold=LEVEL,
        measure=measure,
        absent="not resolved",
        in_table=False,
    )
)
