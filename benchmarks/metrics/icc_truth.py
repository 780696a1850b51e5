"""Intensity against the truth: Pearson correlation of the intensities in each shell."""

from jaxtyping import Complex
from torch import Tensor

from benchmarks.comparison import (
    Comparison,
    ScoreConfig,
    TrueParticle,
    align,
    curve_within,
    structure_factors,
)
from benchmarks.metrics.registry import ShellCurve, crossing, register
from benchmarks.record import Curve
from xraisim.core.align import Alignment
from xraisim.core.fsc import intensity_correlation
from xraisim.core.radial import shell_s
from xraisim.core.types import Volume

NAME, CURVE = "icc_truth_0.5", "icc_truth"


def match_intensity(
    volume: Volume, truth: TrueParticle, config: ScoreConfig, seed: int
) -> tuple[Alignment, Complex[Tensor, "G G G"], Curve]:
    """Return the frame of an intensity, the true F(A s) on its grid, and ``icc_truth``."""
    found = align(volume, truth, config, seed)
    F = structure_factors(truth, found, volume.grid, volume.spacing)
    return found, F, _correlation(volume, F, truth)


def _correlation(volume: Volume, F: Complex[Tensor, "G G G"], truth: TrueParticle) -> Curve:
    icc = intensity_correlation(volume.values, F.abs() ** 2)
    return curve_within(CURVE, shell_s(volume.grid, volume.spacing), icc, truth.s_range)


def shells(comparison: Comparison) -> Curve:
    """Return the correlation of each shell within what was measured."""
    return _correlation(comparison.found.intensity, comparison.true_factors, comparison.truth)


register(
    crossing(
        name=NAME,
        rule="where the Pearson correlation of intensity and true intensity in a shell, the "
        "shell's mean removed, first falls below 0.5",
        threshold=0.5,
        curve=ShellCurve(
            name=CURVE,
            title="Intensity against the truth: Pearson correlation per shell",
            shells=shells,
        ),
        short="icc\ntruth\n0.5 (Å)",
        ranged=True,
    )
)
