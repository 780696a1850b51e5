"""The grid of orientations: view directions, and in-plane angles about the beam for each."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core import rotations, so3
from xraisim.core.symmetry import asymmetric_directions


@dataclass(frozen=True, kw_only=True)
class OrientationGrid:
    """Orientations Rz(2πj/J)·Q_d, numbered d·J + j.

    ``frames`` [D, 4]: quaternions Q_d that turn the view direction d onto the beam; ``angles``: J.
    """

    frames: Float[Tensor, "D 4"]
    angles: int

    @classmethod
    def of(cls, count: int, group: Float[Tensor, "m 4"]) -> "OrientationGrid":
        """Return a grid as fine as ``count`` orientations are, directions as in-plane angles.

        Directions are those of one asymmetric unit of the point group, so there are fewer.
        """
        spacing = so3.spacing(count)
        angles = 2 * max(2, round(math.pi / spacing))
        directions = asymmetric_directions(max(1, round(count / angles)), group)
        return cls(frames=so3.to_beam(directions).float(), angles=angles)

    def __len__(self) -> int:
        return len(self.frames) * self.angles

    def to(self, device: str | torch.device) -> "OrientationGrid":
        """Return the same grid on ``device``."""
        return OrientationGrid(frames=self.frames.to(device), angles=self.angles)

    @property
    def directions(self) -> Float[Tensor, "D 3"]:
        """The view directions, in the particle's frame."""
        return rotations.to_matrix(self.frames)[:, 2]


def oriented(
    frames: Float[Tensor, "*n 4"], angle: Int[Tensor, "*n"], angles: int
) -> Float[Tensor, "*n 4"]:
    """Return the orientations Rz(2π·angle/angles)·Q of frames Q."""
    turn = so3.about_beam(angle.to(frames) * (2 * math.pi / angles))
    return rotations.normalize(rotations.multiply(turn, frames))
