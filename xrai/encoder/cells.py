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

from xraisim.core import rotations, so3
from xraisim.core.symmetry import asymmetric_directions, asymmetric_mate, point_group

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
        turn = so3.about_beam(torch.arange(azimuths) * (math.pi / azimuths))
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
    """Return rotations that bring near-uniform directions (:func:`so3.spiral`) onto the beam."""
    view = so3.spiral(directions)
    # The direction's meridian comes to lie along the x axis.
    upright = so3.about_beam(-torch.atan2(view[:, 1], view[:, 0]))
    return rotations.normalize(rotations.multiply(upright, so3.to_beam(view))).float()


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
