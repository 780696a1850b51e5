"""Poses refined by likelihood: damped Newton steps from where they are."""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.likelihood import pose_scores
from xraisim.core.types import Photons, Pixels, Volume

_LEAST_DAMPING, _MOST_DAMPING = 0.01, 30.0  # of a step, in units of the Fisher information


@dataclass(frozen=True)
class Poses:
    """An orientation per pattern, its log-likelihood and its standard error.

    Quaternions [n, 4]; log-likelihoods [n], float64; ``error_rad`` [n]: the Cramér-Rao bound of the
    rotation vector's length, √tr(F⁻¹), from the Fisher information F of the expected counts;
    ``mate_margin`` [n]: by how many nats the pose was likelier than its near-symmetric mate when
    that was last scored, 0 before.
    """

    quaternion: Float[Tensor, "n 4"]
    loglik: Float[Tensor, "n"]
    error_rad: Float[Tensor, "n"]
    mate_margin: Float[Tensor, "n"]

    def better(self, other: "Poses") -> "Poses":
        """Return the likelier pose of each pattern."""
        wins = torch.nonzero(other.loglik > self.loglik)[:, 0]
        return self.changed(wins, other.at(wins))

    def at(self, index: Int[Tensor, "m"]) -> "Poses":
        """Return the poses of some patterns."""
        return Poses(*(getattr(self, one.name)[index] for one in fields(self)))

    def changed(self, index: Int[Tensor, "m"], to: "Poses") -> "Poses":
        """Return the poses with those of the patterns ``index`` replaced."""
        return Poses(
            *(
                getattr(self, one.name).index_copy(0, index, getattr(to, one.name))
                for one in fields(self)
            )
        )


def refine(
    volume: Volume,
    pixels: Pixels,
    photons: Photons,
    start: Float[Tensor, "n 4"],
    iterations: int,
    max_step_rad: float,
) -> Poses:
    """Climb the likelihood from ``start`` by Levenberg-Marquardt steps on the rotation vector.

    The Fisher information stands for the Hessian: it is positive where the Hessian of noisy counts
    need not be. The slopes of an interpolated volume jump from cell to cell, so over small turns
    about a maximum the likelihood bends more than that, up to a few times: every step, taken or
    not, measures by how much, and the next one is damped accordingly. A step that does not increase
    the likelihood is taken back, so the result is never less likely than the start.
    """
    pose, state = start, pose_scores(volume, pixels, photons, start)
    value, gradient, fisher = state.value, state.gradient, state.fisher
    damping = torch.full_like(value, _LEAST_DAMPING)
    for _ in range(iterations):
        step = _damped_step(gradient, fisher, damping, max_step_rad)
        trial = rotations.multiply(pose, rotations.from_rotation_vector(step.float()))
        found = pose_scores(volume, pixels, photons, trial)
        damping = _measured_damping(found.value - value, step, gradient, fisher)
        up = found.value > value
        pose = torch.where(up[:, None], trial, pose)
        value = torch.where(up, found.value, value)
        gradient = torch.where(up[:, None], found.gradient, gradient)
        fisher = torch.where(up[:, None, None], found.fisher, fisher)
    return Poses(rotations.normalize(pose), value, _standard_error(fisher), torch.zeros_like(value))


def _standard_error(fisher: Tensor) -> Tensor:
    """Return √tr(F⁻¹), at most π: a pattern without information says nothing of its pose."""
    least = torch.eye(3, dtype=fisher.dtype, device=fisher.device) / math.pi**2
    variance = torch.linalg.inv(fisher + least).diagonal(dim1=1, dim2=2).sum(1)
    return variance.sqrt().clamp_max(math.pi)


def _measured_damping(gain: Tensor, step: Tensor, gradient: Tensor, fisher: Tensor) -> Tensor:
    """Return by what share the curvature along a step exceeds the Fisher information's.

    From gain = gᵀd − dᵀHd/2, the curvature dᵀHd is twice what the gain lacks of the slope.
    """
    slope = (gradient * step).sum(1)
    expected = torch.einsum("ni,nij,nj->n", step, fisher, step)
    curvature = 2 * (slope - gain)
    return (curvature / expected.clamp_min(1e-12) - 1).clamp(_LEAST_DAMPING, _MOST_DAMPING)


def _damped_step(gradient: Tensor, fisher: Tensor, damping: Tensor, longest: float) -> Tensor:
    diagonal = torch.diagonal(fisher, dim1=1, dim2=2)
    # A pattern without photons has no information at all: the constant keeps its system solvable.
    extra = damping[:, None] * diagonal + 1e-3 * diagonal.mean(1, keepdim=True) + 1e-9
    step = torch.linalg.solve(fisher + torch.diag_embed(extra), gradient)
    return step * (longest / step.norm(dim=1, keepdim=True).clamp_min(longest))
