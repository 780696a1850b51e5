"""What the patterns are compared with: classes of particles, each along its directions."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.emc.orientations import OrientationGrid, oriented
from xraisim.core.radial import radial_mean
from xraisim.core.types import Volume


@dataclass(frozen=True, kw_only=True)
class Model:
    """A class of particles: its intensity, and its share of the patterns.

    ``exposure`` [G, G, G]: photons that each voxel would have had at the radial mean; None of a
    volume that was not merged.

    An ``isotropic`` one looks the same from everywhere, so it has one direction: spheres, blanks
    and other junk that a reconstruction should not take up.
    """

    volume: Volume
    share: float
    isotropic: bool = False
    exposure: Float[Tensor, "G G G"] | None = None

    def with_volume(
        self, volume: Volume, exposure: Float[Tensor, "G G G"] | None = None
    ) -> "Model":
        """Return the model with another volume, its radial mean where it is isotropic."""
        if self.isotropic:
            mean = radial_mean(volume.values, torch.ones_like(volume.values))
            volume = replace(volume, values=mean)
        return replace(self, volume=volume, exposure=exposure)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The directions of all classes, one after another; the columns of a posterior.

    ``frames`` [K, 4]; ``start`` [classes + 1]: where each class begins; ``angles``: J.
    """

    frames: Float[Tensor, "K 4"]
    start: tuple[int, ...]
    angles: int

    @classmethod
    def of(cls, grid: OrientationGrid, isotropic: list[bool]) -> "Columns":
        """Give every class the whole grid, or one direction where it is isotropic."""
        frames = [grid.frames[:1] if alone else grid.frames for alone in isotropic]
        start = torch.tensor([0, *map(len, frames)]).cumsum(0).tolist()
        return cls(frames=torch.cat(frames), start=tuple(start), angles=grid.angles)

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def number(self) -> Int[Tensor, "K"]:
        """The class of each column."""
        sizes = torch.tensor(self.start).diff()
        return torch.arange(len(sizes)).repeat_interleave(sizes)

    def orientations(self) -> Float[Tensor, "KA 4"]:
        """Return every orientation, the angles of a column one after another."""
        turn = torch.arange(self.angles, device=self.frames.device).repeat(len(self))
        return oriented(self.frames.repeat_interleave(self.angles, 0), turn, self.angles)

    def of_class(self, number: int) -> slice:
        """The columns of a class."""
        return slice(self.start[number], self.start[number + 1])

    def log_prior(self, shares: list[float]) -> Float[Tensor, "K"]:
        """Return each column's log prior per angle: classes by their shares, orientations alike."""
        sizes = torch.tensor(self.start).diff().double()
        per_class = torch.tensor(shares, dtype=torch.float64).clamp_min(1e-9) / (
            sizes * self.angles
        )
        return per_class.log().float()[self.number]
