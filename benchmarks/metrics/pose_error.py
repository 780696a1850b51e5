"""Angles between the orientations found and the true ones, after the global alignment.

Orientations that the particle's point group makes equivalent count as one. Modulo mate: to the
nearer of the true orientation and its near-symmetric mate.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.comparison import Comparison
from benchmarks.metrics.registry import Metric, register
from benchmarks.record import Value
from xraisim.core.align import Alignment
from xraisim.core.errors import FormatError
from xraisim.core.symmetry import angle_modulo, angle_modulo_mate


@dataclass(frozen=True, kw_only=True)
class PoseError:
    """Angles in degrees to the true orientations: median and 90th percentile over patterns."""

    median_deg: float
    p90_deg: float
    median_modulo_mate_deg: float
    p90_modulo_mate_deg: float


def pose_error(
    found: Float[Tensor, "N 4"],
    truth: Float[Tensor, "N 4"],
    alignment: Alignment,
    group: Float[Tensor, "m 4"],
) -> PoseError:
    """Return angles to the true orientations modulo ``group``, and the nearer of these and mates'.

    R_found = R_true·A, so R_found·Aᵀ is compared with R_true; the rotations of ``group`` leave the
    true particle as it is. Patterns without a pose (NaN), found or true, such as blanks, are left
    out. Raises :class:`FormatError` where no pattern has both.
    """
    posed = torch.isfinite(found).all(1) & torch.isfinite(truth).all(1)
    if not posed.any():
        raise FormatError(
            "no pattern has an orientation and shows the particle alone; nothing can be compared "
            "with the truth"
        )
    found, truth = alignment.to_reference_frame(found[posed]), truth[posed]
    strict = torch.rad2deg(angle_modulo(group, found, truth))
    nearer = angle_modulo_mate(found, truth, group)
    return PoseError(
        median_deg=_quantile(strict, 0.5),
        p90_deg=_quantile(strict, 0.9),
        median_modulo_mate_deg=_quantile(nearer, 0.5),
        p90_modulo_mate_deg=_quantile(nearer, 0.9),
    )


def _quantile(values: Tensor, q: float) -> float:
    return round(float(values.double().quantile(q)), 4)


def of_method(comparison: Comparison) -> PoseError | None:
    """Return the errors of the orientations that a method ended with, None where it told none."""
    return _against_truth(comparison, comparison.found.orientations)


def of_encoder(comparison: Comparison) -> PoseError | None:
    """Return the errors of what its encoder alone said, None where it has none."""
    return _against_truth(comparison, comparison.found.encoder_orientations)


def _against_truth(comparison: Comparison, poses: Float[Tensor, "N 4"] | None) -> PoseError | None:
    if poses is None:
        return None
    truth = comparison.truth.orientations
    return pose_error(poses, truth, comparison.alignment, comparison.group)


_STATISTICS = {
    "median_deg": "median angle to the true orientation",
    "p90_deg": "90th percentile of the angle to the true orientation",
    "median_modulo_mate_deg": "median angle to the true orientation or its mate, the nearer",
    "p90_modulo_mate_deg": "90th percentile of the angle to the true orientation or its mate",
}
# A column of their own; the others are listed by the page.
_COLUMNS = {
    "pose_error_median_deg": ("pose error, median (°)", "pose\nerror\n(°)"),
    "pose_error_median_modulo_mate_deg": ("modulo mate (°)", "modulo\nmate\n(°)"),
}


def _register(statistic: str, encoder: bool) -> None:
    name = f"{'encoder_' if encoder else ''}pose_error_{statistic}"
    heading, short = _COLUMNS.get(name, ("", ""))

    def measure(comparison: Comparison) -> Value | None:
        error = comparison.once(of_encoder) if encoder else comparison.once(of_method)
        return None if error is None else Value(value=getattr(error, statistic))

    register(
        Metric(
            name=name,
            rule=_STATISTICS[statistic] + (", by the encoder alone" if encoder else ""),
            unit="°",
            better="lower",
            measure=measure,
            heading=heading,
            short=short,
            digits=2,
            in_table=bool(heading),
            # The strict p90 and the median modulo mate tell what the strict median would.
            in_check=not encoder and statistic != "median_deg",
            least_spread=(0.0, 0.02),
        )
    )


for _encoder in (False, True):
    for _statistic in _STATISTICS:
        _register(_statistic, _encoder)
