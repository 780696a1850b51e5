"""Patterns, detector and templates as packed angular harmonics (:mod:`baselines.emc.polar`)."""

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from baselines.emc.kernels import harmonics as kernels
from baselines.emc.polar import PolarGrid
from xraisim.core.admission import check_rows
from xraisim.core.types import Photons


class PhotonHarmonics:
    """Turns sparse patterns into packed rows: Σ_p k_p exp(imϕ_p) on the rings about each pixel."""

    def __init__(self, grid: PolarGrid) -> None:
        phase = grid.azimuth.double()[:, None] * torch.arange(grid.highest + 1, dtype=torch.float64)
        self._grid = grid
        self._waves = phase.cos().float().numpy(), phase.sin().float().numpy()
        self._packing = (
            np.array(grid.orders),
            np.array([start for start, _ in grid.columns]),
            np.array(grid.first_ring),
        )

    def __call__(self, photons: Photons) -> Float[Tensor, "n W"]:
        """Return the rows of a block of patterns; pixels beyond the grid's are left out."""
        check_rows(photons, len(photons.offsets) - 1)
        return self._rows(photons.offsets, photons.pixel, photons.count.astype(np.float32))

    def rings_of_image(self, image: Float[Tensor, "P"]) -> Float[Tensor, "Q M 2"]:
        """Return the harmonics of an image with a value in every pixel, such as the gain."""
        offsets, pixel = np.array([0, len(image)]), np.arange(len(image), dtype=np.int32)
        row = self._rows(offsets, pixel, image.float().cpu().numpy())
        return unpack(self._grid, row)[0, :-1].to(image.device)

    def _rows(
        self,
        offsets: Int64[np.ndarray, "n1"],
        pixel: Int[np.ndarray, "E"],
        value: Float[np.ndarray, "E"],
    ) -> Float[Tensor, "n W"]:
        grid = self._grid
        return torch.from_numpy(
            kernels.photon_harmonics(
                offsets, pixel, value, grid.inner.numpy(), grid.weight.numpy(), *self._waves,
                grid.limits.numpy(), *self._packing,
            )
        )  # fmt: skip


def photon_harmonics_reference(grid: PolarGrid, counts: Float[Tensor, "n P"]) -> Tensor:
    """Plain form of :class:`PhotonHarmonics`, from dense counts; complex128 [n, Q, M + 1]."""
    order = torch.arange(grid.highest + 1, dtype=torch.float64)
    wave = torch.polar(torch.ones_like(order), grid.azimuth.double()[:, None] * order)
    rings = torch.zeros(len(grid.inner), grid.rings, dtype=torch.float64)
    near = grid.inner.long()[:, None] + torch.arange(grid.weight.shape[1])
    rings.scatter_(1, near, grid.weight.double())
    found = torch.einsum("np,pq,pm->nqm", counts.double() + 0j, rings + 0j, wave)
    return found * (order <= grid.limits[:, None])


def pack(grid: PolarGrid, harmonics: Float[Tensor, "n Q M 2"]) -> Float[Tensor, "n W"]:
    """Return packed rows of harmonics [n, Q + 1, M + 1] given as (real, imaginary) pairs."""
    out = harmonics.new_empty(len(harmonics), grid.width)
    for m, first, (start, length) in zip(grid.orders, grid.first_ring, grid.columns, strict=True):
        out[:, start : start + length] = harmonics[:, first:, m, 0]
        out[:, start + length : start + 2 * length] = harmonics[:, first:, m, 1]
    return out


def unpack(grid: PolarGrid, rows: Float[Tensor, "n W"]) -> Float[Tensor, "n Q M 2"]:
    """Return harmonics [n, Q + 1, M + 1] as pairs; what rows do not hold is zero."""
    out = rows.new_zeros(len(rows), grid.rings + 1, grid.highest + 1, 2)
    for m, first, (start, length) in zip(grid.orders, grid.first_ring, grid.columns, strict=True):
        out[:, first:, m, 0] = rows[:, start : start + length]
        out[:, first:, m, 1] = rows[:, start + length : start + 2 * length]
    return out
