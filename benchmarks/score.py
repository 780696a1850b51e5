"""Score a reconstruction against the truth: every registered metric, and slices to look at."""

from dataclasses import dataclass

from benchmarks.comparison import Comparison, Reconstruction, ScoreConfig, TrueParticle
from benchmarks.metrics import METRICS
from benchmarks.metrics.error_calibration import reliability_of_method
from benchmarks.record import Curve, Reliability, Trajectory, Value
from benchmarks.slices import Slices, central_slices
from benchmarks.trajectories import told
from xraisim.core.rotations import to_matrix

_SLICE_REACH = 0.55  # of the diameter: the particle and a margin


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How good it is, in the terms of the record."""

    metrics: dict[str, Value]
    curves: tuple[Curve, ...]
    trajectories: tuple[Trajectory, ...]
    reliability: Reliability | None
    slices: Slices


def score(found: Reconstruction, truth: TrueParticle, config: ScoreConfig, seed: int) -> Scores:
    """Align ``found`` with ``truth`` and compare intensities, densities and orientations."""
    comparison = Comparison(found, truth, config, seed)
    values = {name: metric.measure(comparison) for name, metric in METRICS.items()}
    curves = {one.curve.name: one.curve for one in METRICS.values() if one.curve}
    return Scores(
        metrics={name: value for name, value in values.items() if value is not None},
        curves=tuple(comparison.once(curve.shells) for curve in curves.values()),
        trajectories=told(found.events),
        reliability=comparison.once(reliability_of_method),
        slices=_slices(comparison),
    )


def _slices(comparison: Comparison) -> Slices:
    volume, truth = comparison.found.intensity, comparison.truth
    return central_slices(
        (volume.values, comparison.true_factors.abs() ** 2, volume.spacing),
        comparison.density_factors,
        to_matrix(comparison.alignment.quaternion),
        min(truth.s_range[1], (volume.grid // 2) * volume.spacing),
        _SLICE_REACH * truth.particle.diameter_angstrom,
        comparison.config.slice_points,
    )
