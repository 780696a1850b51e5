"""Density against the truth: Fourier shell correlation with the true F(s)."""

from benchmarks.comparison import Comparison, curve_within
from benchmarks.metrics.registry import ShellCurve, crossing, register
from benchmarks.record import Curve
from xraisim.core.fsc import fsc
from xraisim.core.radial import shell_s

THRESHOLD = 0.5
NAME, CURVE = f"fsc_truth_{THRESHOLD}", "fsc_truth"


def shells(comparison: Comparison) -> Curve:
    """Return the correlation of each shell within what was measured."""
    placed, F, spacing = comparison.density_factors
    s = shell_s(placed.shape[0], spacing)
    return curve_within(CURVE, s, fsc(placed, F), comparison.truth.s_range)


register(
    crossing(
        name=NAME,
        rule="where the Fourier shell correlation of the phased density and the true one, hand "
        "and shift found, first falls below 0.5",
        threshold=THRESHOLD,
        curve=ShellCurve(
            name=CURVE,
            title="Density against the truth: Fourier shell correlation",
            shells=shells,
        ),
        short="fsc\ntruth\n0.5 (Å)",
        ranged=True,
    )
)
