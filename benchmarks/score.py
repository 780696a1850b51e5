"""Score a reconstruction against the truth: every registered metric, and slices to look at."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison import Comparison, Reconstruction, ScoreConfig, TrueParticle
from benchmarks.cubes import CUBES_FILE, Cubes, coarse_cubes
from benchmarks.metrics import METRICS
from benchmarks.metrics.error_calibration import reliability_of_method
from benchmarks.record import Curve, Reliability, Trajectory, Value
from benchmarks.slices import SLICES_FILE, Slices, central_slices
from benchmarks.trajectories import told
from xraisim.core.rotations import to_matrix

_REACH = 0.55  # of the diameter: the particle and a margin


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How good it is, in the terms of the record."""

    metrics: dict[str, Value]
    curves: tuple[Curve, ...]
    trajectories: tuple[Trajectory, ...]
    reliability: Reliability | None
    slices: Slices
    cubes: Cubes

    def keep_views(self, directory: Path) -> None:
        """Write what the page shows of the volumes into the directory of the run."""
        self.slices.save(directory / SLICES_FILE)
        self.cubes.save(directory / CUBES_FILE)


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
        cubes=_cubes(comparison),
    )


def _slices(comparison: Comparison) -> Slices:
    volume = comparison.found.intensity
    return central_slices(
        (volume.values, comparison.true_factors.abs() ** 2, volume.spacing),
        comparison.density_factors,
        to_matrix(comparison.alignment.quaternion),
        _s_max(comparison),
        _REACH * comparison.truth.particle.diameter_angstrom,
        comparison.config.slice_points,
    )


def _cubes(comparison: Comparison) -> Cubes:
    return coarse_cubes(
        comparison.density_factors,
        to_matrix(comparison.alignment.quaternion),
        _s_max(comparison),
        _REACH * comparison.truth.particle.diameter_angstrom,
    )


def _s_max(comparison: Comparison) -> float:
    volume = comparison.found.intensity
    return min(comparison.truth.s_range[1], (volume.grid // 2) * volume.spacing)
