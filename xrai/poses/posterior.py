"""Poses drawn from their posteriors, for merging.

A volume merged at the likeliest poses is not the likeliest volume: where the photons leave a pose
open, each pattern would be taken to be where it happens to fit the present volume best, which
sharpens what is there already. A pose drawn from the posterior makes the sums those of
expectation-maximisation (a Monte Carlo E-step), at the cost of one merge per pattern.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.refine import Poses
from xraisim.core import rotations, so3

_BLURRED = 0.12  # speckles that a standard error moves the outermost pixels: less blurs nothing
POSSIBLE = 8.0  # nats: what is less likely by more than this is not
_DRAWS = 4  # from the normal distribution about a mode
_WIDER = 1.3  # in variance: a proposal has to reach as far as what it proposes for


@dataclass(frozen=True)
class Posterior:
    """What is known of the poses of a block: modes, and how far the detector reaches for them.

    ``modes``: refined poses, of which the likeliest of a pattern may be any; ``reach``: s·D of the
    outermost pixel that counts.
    """

    likelihood: PoseLikelihood
    modes: list[Poses]
    reach: float

    @property
    def likeliest(self) -> Poses:
        """The likeliest mode of every pattern."""
        best, *others = self.modes
        for other in others:
            best = best.better(other)
        return best

    def draw(self, random: torch.Generator) -> Float[Tensor, "n 4"]:
        """Return a quaternion of each pattern's posterior; the likeliest where that is sharp.

        The posterior is that about the modes and their near-symmetric mates: draws from normal
        distributions by the Fisher information, of which one is chosen by likelihood over density.
        """
        best = self.likeliest
        modes = [*self.modes, *map(_mates, self.modes)]
        wanted = self._wanted(best, modes)
        index = torch.nonzero(wanted.any(1))[:, 0]
        if not len(index):
            return best.quaternion
        where = best.quaternion.new_zeros(*wanted.shape, _DRAWS, 4)
        score = torch.full((*wanted.shape, _DRAWS), -math.inf, dtype=best.loglik.dtype)
        score = score.to(where.device)
        for number, mode in enumerate(modes):
            rows = torch.nonzero(wanted[:, number])[:, 0]
            if len(rows):
                drawn = _drawn(self.likelihood.take(rows), mode.quaternion[rows], random)
                where[rows, number], score[rows, number] = drawn
        weight = score[index].flatten(1).softmax(1).cumsum(1)
        uniform = torch.rand(len(index), 1, generator=random, device=weight.device)
        chosen = torch.searchsorted(weight, uniform.to(weight)).clamp_max(weight.shape[1] - 1)
        picked = where[index].flatten(1, 2).gather(1, chosen[..., None].expand(-1, 1, 4))[:, 0]
        return best.quaternion.index_copy(0, index, picked)

    def _wanted(self, best: Poses, modes: list[Poses]) -> Bool[Tensor, "n M"]:
        """Return about which modes poses are drawn: none where the posterior is sharp.

        About those that are possible and not the same as one before: within both standard errors.
        """
        possible = torch.stack([mode.loglik > best.loglik - POSSIBLE for mode in modes], 1)
        blurred = best.error_rad / math.sqrt(3) * self.reach > _BLURRED
        several = torch.nonzero(possible.sum(1) > 1)[:, 0]
        some = [mode.at(several) for mode in modes]
        for number in range(1, len(modes)):
            new = possible[several, number]
            for other in range(number):
                apart = rotations.angle_between(some[number].quaternion, some[other].quaternion)
                near = apart < some[number].error_rad + some[other].error_rad
                new = new & ~(possible[several, other] & near)
            possible[several, number] = new
        return possible & (blurred | (possible.sum(1) > 1))[:, None]


def _drawn(
    likelihood: PoseLikelihood, mode: Float[Tensor, "m 4"], random: torch.Generator
) -> tuple[Float[Tensor, "m K 4"], Float[Tensor, "m K"]]:
    """Return draws from N(0, wider F⁻¹) about a mode, and ln(likelihood/density) of each.

    The density is that of the rotation vectors, but for a constant that all modes share.
    """
    fisher = likelihood.scores(mode).fisher
    # A pattern that tells nothing of its pose is turned by a radian or so.
    least = torch.eye(3, dtype=fisher.dtype, device=fisher.device)
    root = torch.linalg.cholesky_ex(fisher / _WIDER + least).L  # NaN is refused further on
    normal = torch.randn(
        len(fisher), _DRAWS, 3, generator=random, device=fisher.device, dtype=fisher.dtype
    )
    # With F = LLᵀ, ω = L⁻ᵀx has the covariance F⁻¹ and the density |L| exp(−x²/2).
    turn = torch.linalg.solve_triangular(root.mT, normal.mT, upper=True).mT
    peak = root.diagonal(dim1=1, dim2=2).log().sum(1, keepdim=True)
    place = mode[:, None].expand(-1, _DRAWS, 4)
    near = rotations.multiply(place, rotations.from_rotation_vector(turn.float()))
    return near, likelihood.of(near) + normal.square().sum(2) / 2 - peak


def _mates(mode: Poses) -> Poses:
    """Return the near-symmetric mates of poses, which are less likely by the margin."""
    mate = so3.in_plane_mate(mode.quaternion)
    return replace(mode, quaternion=mate, loglik=mode.loglik - mode.mate_margin)
