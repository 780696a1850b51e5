"""Angles between the relative orientations of two patterns, found and true: no global alignment.

R_found = R_true·A for one rotation A of the whole reconstruction, so that R_found,i·R_found,jᵀ is
compared with R_true,i·R_true,jᵀ as it is. An alignment that is off changes nothing here; a wrong
pose counts in every pair that it is in, and errors of σ per axis appear as √2 σ. The average over
random pairs, modulo point group and mates, is how T. Ekeberg's analysis programs judge EMC
(``relative_orientation_error``, "shallow Ewald").
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.comparison import Comparison
from benchmarks.metrics.registry import Metric, register
from benchmarks.record import Value
from xraisim.core import so3
from xraisim.core.random import generator
from xraisim.core.rotations import conjugate, multiply
from xraisim.core.symmetry import angle_modulo, angle_modulo_mate

_PAIRS = 10_000
NAME = "relative_pose_error_mean_deg"
NAME_MODULO_MATE = "relative_pose_error_mean_modulo_mate_deg"


def relative_angles(
    found: tuple[Float[Tensor, "p 4"], Float[Tensor, "p 4"]],
    truth: tuple[Float[Tensor, "p 4"], Float[Tensor, "p 4"]],
    group: Float[Tensor, "m 4"],
    *,
    modulo_mate: bool,
) -> Float[Tensor, "p"]:
    """Return the angles (degrees) between relative orientations found and true of pairs (i, j).

    The smallest over the point group: min_g ∠(R̂ᵢR̂ⱼᵀ, Rᵢ g Rⱼᵀ); modulo mate, over the mates of both
    patterns too: min over f, f′ in {1, Rz(180°)} of ∠(R̂ᵢR̂ⱼᵀ, f Rᵢ g Rⱼᵀ f′).
    """
    relative = multiply(found[0], conjugate(found[1]))
    if not modulo_mate:
        return torch.rad2deg(angle_modulo(group, truth[0], multiply(relative, truth[1])))
    each = (
        angle_modulo_mate(truth[0], multiply(relative, second), group)
        for second in (truth[1], so3.in_plane_mate(truth[1]))
    )
    return torch.minimum(*each)


def pairs(n: int) -> tuple[Int[Tensor, "p"], Int[Tensor, "p"]]:
    """Return the numbers of 10,000 random pairs of ``n`` patterns, always the same."""
    draw = generator(0, "pairs of patterns")
    first = torch.randint(n, (_PAIRS,), generator=draw)
    return first, (first + torch.randint(1, n, (_PAIRS,), generator=draw)) % n


def _measure(comparison: Comparison, modulo_mate: bool) -> Value | None:
    found = comparison.found.orientations
    if found is None:
        return None
    posed = comparison.posed(found)
    if posed.sum() < 2:
        return None
    first, second = pairs(int(posed.sum()))
    found, truth = found[posed].double(), comparison.truth.orientations[posed].double()
    angles = relative_angles(
        (found[first], found[second]), (truth[first], truth[second]), comparison.group,
        modulo_mate=modulo_mate,
    )  # fmt: skip
    return Value(value=round(float(angles.mean()), 4))


def of_method(comparison: Comparison) -> Value | None:
    """Return the mean over pairs modulo the point group, None without two poses."""
    return _measure(comparison, modulo_mate=False)


def of_method_modulo_mate(comparison: Comparison) -> Value | None:
    """Return the mean over pairs modulo the point group and mates, None without two poses."""
    return _measure(comparison, modulo_mate=True)


_RULE = "mean angle between the relative orientations of two patterns found and true, over pairs"
for _name, _more, _function in (
    (NAME, "", of_method),
    (NAME_MODULO_MATE, ", modulo the mates of both", of_method_modulo_mate),
):
    register(
        Metric(
            name=_name,
            rule=_RULE + _more,
            unit="°",
            better="lower",
            measure=_function,
            digits=2,
            in_table=False,
            least_spread=(0.0, 0.02),
        )
    )
