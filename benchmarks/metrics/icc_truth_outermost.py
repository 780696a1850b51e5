"""Intensity against the truth at the edge of the data: tells apart runs that resolve all of it."""

import math

from benchmarks.comparison import Comparison
from benchmarks.metrics import icc_truth
from benchmarks.metrics.registry import Metric, register
from benchmarks.record import Curve, Value

NAME = "icc_truth_outermost"
_FROM = 0.9  # of the largest |s| that was measured
_ROUNDING = 1e-6  # of a shell's width


def outermost(curve: Curve, spacing: float, s_max: float) -> float:
    """Return the mean of a curve over the outermost tenth of |s|, up to ``s_max`` in Å⁻¹.

    C̄ = Σ C(s_k) / n over the n shells s_k = k·``spacing`` with 0.9 s_max ≤ s_k ≤ s_max less half a
    shell (the last such shell at least). A shell that the curve does not have counts as 0: the
    volume ends before it, or holds nothing in it.
    """
    last = math.floor(s_max / spacing - 0.5 - _ROUNDING)
    first = min(last, math.ceil(_FROM * s_max / spacing - _ROUNDING))
    value = {
        round(s / spacing): found
        for s, found in zip(curve.s_per_angstrom, curve.value, strict=True)
    }
    shells = range(first, last + 1)
    return sum(value.get(number, 0.0) for number in shells) / len(shells)


def measure(comparison: Comparison) -> Value:
    """Return the correlation with the true intensity in the outermost shells."""
    curve = comparison.once(icc_truth.shells)
    spacing, s_max = comparison.found.intensity.spacing, comparison.truth.s_range[1]
    return Value(value=round(outermost(curve, spacing, s_max), 5))


register(
    Metric(
        name=NAME,
        rule="mean of the Pearson correlation of intensity and true intensity, the shell's mean "
        "removed, over the shells in the outermost tenth of the measured |s|; 0 for a shell that "
        "the volume does not reach",
        unit="1",
        better="higher",
        measure=measure,
        heading=NAME,
        digits=4,
        on_terminal=False,
        least_spread=(0.0, 0.005),
    )
)
