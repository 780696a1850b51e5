"""Whether the errors that a method states of its poses are those that they have.

``error_deg`` of ``poses.h5`` is the root mean square e of the angle ω between a pose and the truth,
all three axes together: e² = tr C for a rotation vector of covariance C (for X-RAI C = F⁻¹, the
Cramér-Rao bound). Were C the same along each axis, 3 ω²/e² would follow χ² with three degrees of
freedom, so that a share p of the patterns lies within ω ≤ e √(χ²₃(p)/3): 1.08 e for 68 %, 1.61 e
for 95 %. The actual angle is modulo mate and point group, which a stated error knows nothing of,
after the global alignment, whose own error (0.1°) it contains.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from scipy.special import gammaincinv
from torch import Tensor

from benchmarks.comparison import Comparison
from benchmarks.metrics.registry import Metric, register
from benchmarks.record import Reliability, Value
from xraisim.core.symmetry import angle_modulo_mate

_BINS = 10


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """``rms_ratio``: √(Σω²/Σe²); ``within_68``, ``within_95``: shares within the stated radii."""

    rms_ratio: float
    within_68: float
    within_95: float


def calibration(
    actual_deg: Float[Tensor, "N"], stated_deg: Float[Tensor, "N"]
) -> Calibration | None:
    """Return how actual angles compare with stated errors (degrees), None if all stated are 0."""
    actual, stated = actual_deg.double(), stated_deg.double()
    if not float(stated.sum()) > 0:
        return None
    return Calibration(
        rms_ratio=round(float((actual.square().mean() / stated.square().mean()).sqrt()), 4),
        within_68=_share_within(actual, stated, 0.68),
        within_95=_share_within(actual, stated, 0.95),
    )


def reliability(actual_deg: Float[Tensor, "N"], stated_deg: Float[Tensor, "N"]) -> Reliability:
    """Return root mean squares of actual angles and stated errors (degrees), in tenths of N.

    The patterns go from the smallest stated error to the largest; ties stay in their order.
    """
    order = stated_deg.argsort(stable=True)
    bins = [some for some in order.tensor_split(_BINS) if len(some)]
    return Reliability(
        stated_deg=tuple(_rms(stated_deg[some]) for some in bins),
        actual_deg=tuple(_rms(actual_deg[some]) for some in bins),
        patterns=tuple(len(some) for some in bins),
    )


def _rms(values: Tensor) -> float:
    return round(float(values.double().square().mean().sqrt()), 4)


def radius(share: float) -> float:
    """Return √(χ²₃(share)/3): within how many stated errors that share of the angles should be."""
    return math.sqrt(2 * float(gammaincinv(1.5, share)) / 3)  # χ²₃ is twice a gamma variable of 3/2


def _share_within(actual: Tensor, stated: Tensor, share: float) -> float:
    return round(float((actual <= radius(share) * stated).double().mean()), 4)


def of_method(comparison: Comparison) -> Calibration | None:
    """Return the calibration of a method, None where it states no errors of its poses."""
    known = comparison.once(_actual_and_stated)
    return None if known is None else calibration(*known)


def reliability_of_method(comparison: Comparison) -> Reliability | None:
    """Return the reliability of a method's stated errors, None where it states none."""
    known = comparison.once(_actual_and_stated)
    return None if known is None else reliability(*known)


def _actual_and_stated(
    comparison: Comparison,
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]] | None:
    """Return the angles to the truth and the stated errors (degrees) of patterns that have both."""
    found, stated = comparison.found.orientations, comparison.found.stated_error_deg
    if found is None or stated is None:
        return None
    told = comparison.posed(found) & torch.isfinite(stated)
    if not told.any():
        return None
    placed = comparison.alignment.to_reference_frame(found[told])
    truth = comparison.truth.orientations[told]
    return angle_modulo_mate(placed, truth, comparison.group), stated[told]


def _register(
    name: str,
    statistic: str,
    rule: str,
    ideal: float,
    milder: Literal["lower", "higher"],
    digits: int,
) -> None:
    def measure(comparison: Comparison) -> Value | None:
        found = comparison.once(of_method)
        return None if found is None else Value(value=getattr(found, statistic))

    register(
        Metric(
            name=name, rule=rule, unit="1", better=milder, measure=measure, ideal=ideal,
            digits=digits, in_table=False, in_check=False,
        )
    )  # fmt: skip


_register(
    "pose_error_rms_over_stated",
    "rms_ratio",
    "root mean square of the angle to the true orientation or its mate, over that of the errors "
    "that the method states",
    ideal=1.0,
    milder="lower",
    digits=2,
)
for _percent in (68, 95):
    _register(
        f"pose_error_within_stated_{_percent}",
        f"within_{_percent}",
        "share of patterns whose angle to the true orientation or its mate is at most "
        f"{radius(_percent / 100):.2f} times the stated error, where {_percent} % should be",
        ideal=_percent / 100,
        milder="higher",
        digits=3,
    )
