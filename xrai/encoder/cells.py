"""A grid over SO(3), view directions × in-plane angles, and how a rotation spreads over its cells.

Cell (a, v) is the rotation Rz(a·step)·Q_v, where the frame Q_v brings view direction v to the beam:
a turn of the pattern about the beam shifts ``a`` and leaves ``v`` alone. In-plane angles cover half
a turn, so rotations are taken modulo the near-symmetric mate; of those that a point group makes
equivalent, the one that sees the particle from the asymmetric unit stands for all.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from xraisim.core import rotations
from xraisim.core.symmetry import asymmetric_directions, asymmetric_mate, point_group

_GOLDEN = (1 + math.sqrt(5)) / 2
_VIEWS = 4  # view directions that share a rotation
_KERNEL = 0.5  # width of their kernel, in spacings of the directions
_DIRECTIONS, _COUNTED = 100, 50_000


class Cells(nn.Module):
    """``azimuths`` × ``directions`` rotations, numbered azimuth-major."""

    frames: Tensor
    grid: Tensor
    group: Tensor

    def __init__(
        self, directions: int, azimuths: int, group: Float[Tensor, "m 4"] | None = None
    ) -> None:
        super().__init__()
        frames = view_frames(directions)
        turn = about_beam(torch.arange(azimuths) * (math.pi / azimuths))
        grid = rotations.multiply(turn[:, None], frames).reshape(-1, 4)
        self.azimuths, self.directions = azimuths, directions
        self.spacing_rad = math.sqrt(4 * math.pi / directions)
        self.register_buffer("frames", frames, persistent=False)
        self.register_buffer("grid", grid, persistent=False)
        self.register_buffer("group", _or_trivial(group).float(), persistent=False)

    def shares(self, pose: Float[Tensor, "n 4"]) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]:
        """Return the cells around each rotation and the share of it that each takes.

        A Gaussian over the nearest view directions and a line over the two nearest in-plane angles,
        so that the mean over a posterior of such shares is a rotation between the cells.
        """
        pose = asymmetric_mate(pose, self.group)
        beam = rotations.to_matrix(pose)[:, 2]
        views = rotations.to_matrix(self.frames)[:, 2]
        cosine, view = (beam @ views.T).topk(_VIEWS, 1)
        width = _KERNEL * self.spacing_rad
        nearness = torch.softmax((cosine - 1) / width**2, 1)  # |u − v|² = 2 − 2 u·v
        relative = rotations.multiply(pose[:, None], rotations.conjugate(self.frames[view]))
        # The turn about z nearest to a rotation (w, x, y, z) is by 2 atan2(z, w).
        turn = 2 * torch.atan2(relative[..., 3], relative[..., 0]) * (self.azimuths / math.pi)
        lower = turn.floor()
        upper_share = turn - lower
        azimuth = torch.stack([lower, lower + 1], -1).long() % self.azimuths
        share = nearness[..., None] * torch.stack([1 - upper_share, upper_share], -1)
        return (azimuth * self.directions + view[..., None]).flatten(1), share.flatten(1)


def view_frames(directions: int) -> Float[Tensor, "v 4"]:
    """Return rotations that bring near-uniform directions (a Fibonacci spiral) to +z."""
    step = torch.arange(directions, dtype=torch.float64)
    z = 1 - (2 * step + 1) / directions
    azimuth = (2 * math.pi * step / _GOLDEN).remainder(2 * math.pi)
    # Turn the direction's meridian to the x axis, then tilt it to the pole.
    spin, tilt = torch.zeros(2, directions, 3, dtype=torch.float64)
    spin[:, 2], tilt[:, 1] = -azimuth, -torch.acos(z)
    frame = rotations.multiply(
        rotations.from_rotation_vector(tilt), rotations.from_rotation_vector(spin)
    )
    return rotations.normalize(frame).float()


def views_in_use(pose: Float[Tensor, "n 4"], group: Float[Tensor, "m 4"] | None = None) -> float:
    """Return over how many of 100 directions the poses' view directions spread: e to their entropy.

    n uniform poses, n much larger than 100, use nearly all of them. The directions (about 100) lie
    in the asymmetric unit of the point group, and the poses are taken modulo it; of more than
    100,000 poses some are taken, evenly.
    """
    group, pose = _or_trivial(group), pose[:: max(1, len(pose) // _COUNTED)]
    beam = rotations.to_matrix(asymmetric_mate(pose, group))[:, 2]
    views = asymmetric_directions(_DIRECTIONS * len(group), group).to(beam)
    counts = torch.bincount((beam @ views.T).argmax(1), minlength=len(views))
    return float(torch.special.entr(counts / len(pose)).sum().exp())


def _or_trivial(group: Float[Tensor, "m 4"] | None) -> Float[Tensor, "m 4"]:
    return point_group("C1") if group is None else group


def about_beam(angle: Float[Tensor, "n"]) -> Float[Tensor, "n 4"]:
    """Return turns about the beam by ``angle`` (radians)."""
    zero = torch.zeros_like(angle)
    return torch.stack([torch.cos(angle / 2), zero, zero, torch.sin(angle / 2)], -1)
