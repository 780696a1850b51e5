"""Phase retrieval transfer function: how alike the phases of many starts are."""

import math

from benchmarks.comparison import Comparison
from benchmarks.metrics.registry import ShellCurve, crossing, register
from benchmarks.record import Curve

NAME, CURVE = "prtf_1/e", "prtf"


def shells(comparison: Comparison) -> Curve:
    """Return the curve that phasing gave."""
    return comparison.found.prtf


register(
    crossing(
        name=NAME,
        rule="where the phase retrieval transfer function first falls below 1/e",
        threshold=math.exp(-1),
        curve=ShellCurve(name=CURVE, title="Phase retrieval transfer function", shells=shells),
        short="prtf\n1/e\n(Å)",
    )
)
