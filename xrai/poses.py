"""Orientations by likelihood: exhaustive proposals, exact re-ranking, damped Newton refinement."""

import math
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core import rotations, so3
from xraisim.core.entries import dense_counts
from xraisim.core.likelihood import candidate_loglik, pose_scores
from xraisim.core.search import grid_loglik, log_templates
from xraisim.core.symmetry import nearest_mate
from xraisim.core.types import Photons, Pixels, Volume

_DECIDED = 20.0  # nats between a pose and its mate: beyond doubt, even if the volume is not exact
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


class GridSearch:
    """Templates of one volume at a grid of rotations, ready to score any number of patterns.

    ``s_max``: the |s| (Å⁻¹) of the outermost of the ``pixels``.
    """

    def __init__(self, volume: Volume, pixels: Pixels, count: int, random: torch.Generator) -> None:
        grid = so3.super_fibonacci(count).to(random.device)
        self.grid = rotations.multiply(so3.haar(1, random), grid)
        self.s_max = float(pixels.radius[-1])
        self._pixels = len(pixels)
        self._templates = log_templates(volume, pixels, self.grid).contiguous()

    @property
    def cost(self) -> int:
        """Multiply-adds per pattern."""
        return len(self.grid) * self._pixels

    def best(self, photons: Photons, keep: int) -> Float[Tensor, "n keep 4"]:
        """Return the ``keep`` likeliest grid rotations of each pattern."""
        counts = dense_counts(photons, self._pixels, self.grid.device)
        return self.grid[grid_loglik(counts, self._templates).topk(keep, dim=1).indices]


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


def refine_hypotheses(
    volume: Volume,
    pixels: Pixels,
    photons: Photons,
    hypotheses: Float[Tensor, "n C 4"],
    iterations: int,
    max_step_rad: float,
) -> Poses:
    """Refine every hypothesis and the in-plane mate of the best; return the likeliest."""
    arguments = (iterations, max_step_rad)
    best = refine(volume, pixels, photons, hypotheses[:, 0].contiguous(), *arguments)
    for column in range(1, hypotheses.shape[1]):
        other = hypotheses[:, column].contiguous()
        best = best.better(refine(volume, pixels, photons, other, *arguments))
    return score_mates(volume, pixels, photons, best, *arguments)


def score_mates(
    volume: Volume,
    pixels: Pixels,
    photons: Photons,
    poses: Poses,
    iterations: int,
    max_step_rad: float,
) -> Poses:
    """Return the likelier of each pose and its refined near-symmetric mate, with the margin.

    ``poses`` have the log-likelihoods of these pixels. Where a pose has beaten its mate by far it
    is left alone: only the Ewald sphere's curvature tells the two apart, so bright patterns decide
    early, and faint ones farther out.
    """
    still_open = torch.nonzero(poses.mate_margin < _DECIDED)[:, 0]
    if not len(still_open):
        return poses
    some, held = photons.take(still_open.cpu().numpy()), poses.at(still_open)
    mates = so3.in_plane_mate(held.quaternion)
    rivals = refine(volume, pixels, some, mates, iterations, max_step_rad)
    margin = (held.loglik - rivals.loglik).abs()
    return poses.changed(still_open, replace(held.better(rivals), mate_margin=margin))


def prune(
    volume: Volume, pixels: Pixels, photons: Photons, hypotheses: Float[Tensor, "n C 4"], keep: int
) -> Float[Tensor, "n keep 4"]:
    """Return the ``keep`` likeliest hypotheses by the exact likelihood, the best first."""
    loglik, _ = candidate_loglik(volume, pixels, photons, hypotheses)
    order = loglik.topk(keep, dim=1).indices
    return hypotheses.gather(1, order[..., None].expand(-1, -1, 4))


def angle_modulo_mate(
    left: Float[Tensor, "n 4"],
    right: Float[Tensor, "n 4"],
    group: Float[Tensor, "m 4"] | None = None,
) -> Float[Tensor, "n"]:
    """Return the angle in degrees between poses, or to the in-plane mate if that is nearer.

    With the point group of the particle, the smallest of all those between equivalent poses.
    """
    both = (angle_modulo(group, left, one) for one in (right, so3.in_plane_mate(right)))
    return torch.rad2deg(torch.minimum(*both))


def angle_modulo(
    group: Float[Tensor, "m 4"] | None, left: Float[Tensor, "n 4"], right: Float[Tensor, "n 4"]
) -> Float[Tensor, "n"]:
    """Return the smallest angle (radians) between poses that are equivalent by a point group."""
    if group is None:
        return rotations.angle_between(left, right)
    return nearest_mate(left, right, group)[1]
