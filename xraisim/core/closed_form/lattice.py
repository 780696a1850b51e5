"""Even fields on a periodic grid, and their real transforms: distances inside the particle."""

from collections.abc import Callable

import scipy.fft
import torch
from jaxtyping import Float
from torch import Tensor


class Lattice:
    """The transform of even fields of ``grid``³ voxels, padded with zeros to a fast size N.

    Spectra are real, [N, N, N//2 + 1]; transforms are orthonormal. ``reach`` is the particle's
    diameter times the spacing of the voxels in s. ``x`` [N, N, N//2 + 1] are distances r/D.
    """

    def __init__(self, grid: int, reach: float, device: torch.device) -> None:
        self.grid, self.reach = grid, reach
        self.size = scipy.fft.next_fast_len(grid, real=True)
        # In cycles per voxel; r = cycles / spacing.
        axis = torch.fft.fftfreq(self.size, device=device)
        half = torch.fft.rfftfreq(self.size, device=device)
        squares = axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2
        self.x: Float[Tensor, "N N M"] = squares.sqrt() / reach
        # Columns that stand for two of the full transform count twice in scalar products.
        self.copies = torch.full((len(half),), 2.0, device=device)
        self.copies[0] = 1
        if self.size % 2 == 0:
            self.copies[-1] = 1
        self._axes = (axis, axis, half)

    def separable(self, function: Callable[[Tensor], Tensor]) -> Float[Tensor, "N N M"]:
        """Return the product over the axes of a function of cycles per voxel."""
        a, b, c = (function(axis) for axis in self._axes)
        return a[:, None, None] * b[:, None] * c

    def transform(self, field: Float[Tensor, "N N N"]) -> Float[Tensor, "N N M"]:
        """Return the spectrum of an even field, its centre at voxel 0."""
        return torch.fft.rfftn(field, norm="ortho").real

    def back(self, spectrum: Float[Tensor, "N N M"]) -> Float[Tensor, "N N N"]:
        """Return the field of a spectrum."""
        return torch.fft.irfftn(spectrum, s=(self.size,) * 3, norm="ortho")

    def dot(self, a: Float[Tensor, "N N M"], b: Float[Tensor, "N N M"]) -> Tensor:
        """Return the scalar product of two spectra: that of their fields."""
        return (self.copies * (a * b)).sum()

    def padded(self, field: Float[Tensor, "G G G"]) -> Float[Tensor, "N N N"]:
        """Return a field with its middle voxel moved to voxel 0, zero where it has no values."""
        wide = torch.nn.functional.pad(field, (0, self.size - self.grid) * 3)
        return wide.roll((-(self.grid // 2),) * 3, (0, 1, 2))

    def cut(self, field: Float[Tensor, "N N N"]) -> Float[Tensor, "G G G"]:
        """Return the voxels that :meth:`padded` filled."""
        centred = field.roll((self.grid // 2,) * 3, (0, 1, 2))
        return centred[: self.grid, : self.grid, : self.grid].contiguous()
