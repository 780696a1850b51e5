"""Merge oriented patterns into an intensity volume: the adjoint of slicing, then a division.

With poses R_i and fluences φ_i given, the Poisson likelihood over a voxel basis is maximised by
photons / exposure, both scattered into the volume with the slice's trilinear weights (the compress
step of Loh & Elser 2009, eq. 12). Friedel's law averages s with −s, a point group s with g·s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.dispatch import in_loops
from xraisim.core.entries import device_blocks, upload_entries
from xraisim.core.kernels import merge as kernels
from xraisim.core.likelihood import kernel_arguments
from xraisim.core.radial import mean_at, radial_mean
from xraisim.core.sampling import (
    as_numpy,
    check_inside,
    insert_points,
    insert_slice_pairs,
    slice_points,
    slice_volume,
)
from xraisim.core.symmetry import symmetrize
from xraisim.core.types import Photons, Pixels, Volume

_PARTS = 8  # fixed, so that sums do not depend on the number of threads


@dataclass
class Accumulator:
    """Photon and exposure sums per voxel, float32 [G, G, G]; blocks of patterns add up in it."""

    photons: Float[Tensor, "G G G"]
    exposure: Float[Tensor, "G G G"]
    spacing: float

    @classmethod
    def empty(cls, grid: int, spacing: float, device: str | torch.device = "cpu") -> "Accumulator":
        """Return an accumulator with nothing in it."""
        zeros = torch.zeros(grid, grid, grid, device=device)
        return cls(photons=zeros, exposure=zeros.clone(), spacing=spacing)

    @classmethod
    def total(cls, sums: Sequence["Accumulator"]) -> "Accumulator":
        """Return the sums of several sets of patterns, on one grid, together."""
        return cls(
            photons=torch.stack([one.photons for one in sums]).sum(0),
            exposure=torch.stack([one.exposure for one in sums]).sum(0),
            spacing=sums[0].spacing,
        )

    def to(self, device: str | torch.device) -> "Accumulator":
        """Return the same sums on ``device``."""
        return Accumulator(self.photons.to(device), self.exposure.to(device), self.spacing)

    def padded(self, grid: int) -> "Accumulator":
        """Return the same sums in a cube of ``grid`` voxels per edge (odd), cut or padded by 0."""
        margin = [(grid - self.photons.shape[0]) // 2] * 6
        photons, exposure = (
            torch.nn.functional.pad(one, margin) for one in (self.photons, self.exposure)
        )
        return Accumulator(photons.contiguous(), exposure.contiguous(), self.spacing)

    def faded(self, keep: float) -> "Accumulator":
        """Return the sums times ``keep``: what older patterns still count for."""
        return Accumulator(self.photons * keep, self.exposure * keep, self.spacing)

    def add(
        self,
        pixels: Pixels,
        photons: Photons,
        poses: Float[Tensor, "n 4"],
        fluence: Float[Tensor, "n"],
        current: Volume | None = None,
        weight: Float[Tensor, "n"] | None = None,
    ) -> None:
        """Add patterns at given orientations and relative fluences, each times its ``weight``.

        ``current`` is needed only where ``pixels`` have background: its radial mean says how much
        the photons of a pixel tell, and so how much they weigh.
        """
        check_inside(pixels.s, self.photons.shape[0], self.spacing)
        if not pixels.has_background:
            typical = torch.ones_like(pixels.gain)
        elif current is None:
            raise ValueError("merging photons with background needs the current volume")
        else:
            typical = mean_at(current, pixels.radius)
        weight = torch.ones_like(fluence) if weight is None else weight
        if not len(poses) == len(fluence) == len(weight):
            raise ValueError("merging needs a fluence and a weight for each orientation")
        arguments = (pixels, photons, poses, fluence, weight, typical)
        if in_loops(self.photons.device):
            self._add_cpu(*arguments)
        else:
            self.add_reference(*arguments)

    def _add_cpu(
        self,
        pixels: Pixels,
        photons: Photons,
        poses: Tensor,
        fluence: Tensor,
        weight: Tensor,
        typical: Tensor,
    ) -> None:
        grid = self.photons.shape[0]
        place = Volume(values=self.photons, spacing=self.spacing, kind="intensity")
        partial = kernels.accumulate(
            *kernel_arguments(place, pixels, photons, poses)[1:],
            as_numpy(fluence),
            as_numpy(weight),
            as_numpy(typical),
            _PARTS,
        ).sum(0)
        self.photons += torch.from_numpy(partial[:, 0]).reshape(grid, grid, grid)
        self.exposure += torch.from_numpy(partial[:, 1]).reshape(grid, grid, grid)

    def add_reference(
        self,
        pixels: Pixels,
        photons: Photons,
        poses: Tensor,
        fluence: Tensor,
        weight: Tensor,
        typical: Tensor,
    ) -> None:
        """Plain torch form, any device; the numba loop is tested against it.

        Exposure and background go to all pixels, photons only to those that have some.
        """
        grid, device = self.photons.shape[0], self.photons.device
        b = pixels.background
        for rows in device_blocks(len(photons), len(pixels), device):
            matrix = rotations.to_matrix(poses[rows])
            entries = upload_entries(photons, rows, len(pixels), device)
            points = slice_points(matrix, pixels.s, self.spacing, grid)
            exposure = (weight * fluence)[rows, None] * pixels.gain
            lit = fluence[rows, None] * pixels.gain * typical
            share = torch.where(b > 0, lit / (lit + b), 1.0)
            self.exposure += insert_points(share * exposure, points, grid)
            at = points[entries.row, entries.pixel][None]
            k = entries.count.to(share) * weight[rows][entries.row]
            k *= share[entries.row, entries.pixel]
            self.photons += insert_points(k[None], at, grid)
            if pixels.has_background:
                self.photons -= insert_points(weight[rows, None] * share * b, points, grid)

    def add_slices(
        self,
        photons: Float[Tensor, "n P"],
        exposure: Float[Tensor, "n P"],
        rotation: Float[Tensor, "n 3 3"],
        s: Float[Tensor, "P 3"],
    ) -> None:
        """Add whole slices: signal photons and exposures already summed per rotation and pixel."""
        where = (rotation, s, self.spacing, self.photons.shape[0])
        for total, added in zip(
            (self.photons, self.exposure),
            insert_slice_pairs(photons, exposure, *where),
            strict=True,
        ):
            total += added

    def symmetric(self, group: Float[Tensor, "m 4"] | None = None) -> "Accumulator":
        """Return the sums with those of −s added (Friedel), averaged over a point group."""
        photons, exposure = (one + one.flip(0, 1, 2) for one in (self.photons, self.exposure))
        if group is not None:
            photons, exposure = symmetrize(photons, group), symmetrize(exposure, group)
        return Accumulator(photons=photons, exposure=exposure, spacing=self.spacing)

    def volume(self, prior: float, group: Float[Tensor, "m 4"] | None = None) -> Volume:
        """Return the Friedel-averaged intensity, with ``prior`` × the median exposure as floor.

        The floor pulls ill-measured voxels to the radial mean, so that none can blow up. With the
        rotations ``group`` of a point group, both sums are averaged over it before the division.
        """
        both = self.symmetric(group)
        photons, exposure = both.photons, both.exposure
        floor = prior * exposure[exposure > 0].median()
        mean = radial_mean(photons, exposure)
        values = (photons + floor * mean) / (exposure + floor)
        return Volume(values=values, spacing=self.spacing, kind="intensity")


def resample(volume: Volume, grid: int, spacing: float) -> Volume:
    """Return the intensity on another grid; beyond its own, it keeps its value at the edge."""
    axis = (torch.arange(grid, device=volume.values.device) - grid // 2) * spacing
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    edge = (volume.grid // 2) * volume.spacing * (1 - 1e-5)
    points = points * (edge / points.norm(dim=1, keepdim=True).clamp_min(edge))
    unturned = torch.eye(3, device=points.device)[None]
    values = slice_volume(volume.values, unturned, points.contiguous(), volume.spacing)
    return Volume(values=values.reshape(grid, grid, grid), spacing=spacing, kind=volume.kind)


def intensity_grid(
    s_max: float, diameter_angstrom: float, oversampling: float
) -> tuple[int, float]:
    """Return (odd grid size, spacing in Å⁻¹) that holds |s| ≤ ``s_max``.

    Intensity speckles need a spacing of 1/(2D); ``oversampling`` counts samples per 1/D.
    """
    spacing = 1 / (oversampling * diameter_angstrom)
    half = int(np.ceil(s_max / spacing)) + 2
    return 2 * half + 1, spacing
