"""Poses refined by likelihood: damped Newton steps from where they are."""

import math
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xrai.poses.likelihood import PoseLikelihood
from xraisim.core import rotations

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

    def with_margin(self, margin: Float[Tensor, "n"]) -> "Poses":
        """Return the poses with another margin over their mates."""
        return replace(self, mate_margin=margin.to(self.loglik))

    def at(self, index: Int[Tensor, "m"]) -> "Poses":
        """Return the poses of some patterns."""
        return Poses(*(getattr(self, column.name)[index] for column in fields(self)))

    def changed(self, index: Int[Tensor, "m"], to: "Poses") -> "Poses":
        """Return the poses with those of the patterns ``index`` replaced."""
        return Poses(
            *(
                getattr(self, column.name).index_copy(0, index, getattr(to, column.name))
                for column in fields(self)
            )
        )


@dataclass(frozen=True)
class NewtonSteps:
    """How many steps are taken, and how long (rad) one may be."""

    count: int
    longest_rad: float


def refine(likelihood: PoseLikelihood, start: Float[Tensor, "n 4"], steps: NewtonSteps) -> Poses:
    """Climb the likelihood from ``start`` by Levenberg-Marquardt steps on the rotation vector.

    The Fisher information stands for the Hessian: it is positive where the Hessian of noisy counts
    need not be. The slopes of an interpolated volume jump from cell to cell, so over small turns
    about a maximum the likelihood bends more than that, up to a few times: every step, taken or
    not, measures by how much, and the next one is damped accordingly. A step that does not increase
    the likelihood is taken back, so the result is never less likely than the start.
    """
    pose, scores = start, likelihood.scores(start)
    value, gradient, fisher = scores.value, scores.gradient, scores.fisher
    damping = torch.full_like(value, _LEAST_DAMPING)
    for _ in range(steps.count):
        step = _damped_step(gradient, fisher, damping, steps.longest_rad)
        turned = rotations.multiply(pose, rotations.from_rotation_vector(step.float()))
        scores = likelihood.scores(turned)
        damping = _measured_damping(scores.value - value, step, gradient, fisher)
        up = scores.value > value
        pose = torch.where(up[:, None], turned, pose)
        value = torch.where(up, scores.value, value)
        gradient = torch.where(up[:, None], scores.gradient, gradient)
        fisher = torch.where(up[:, None, None], scores.fisher, fisher)
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
