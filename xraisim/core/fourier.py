"""The centred Fourier pair between a density and its structure factors, on cubic grids.

The project's convention is F(s) = Σ_r ρ(r) exp(+2πi s·r) v³ with v the voxel size in Å, so that a
density in electrons/Å³ gives F in electrons and F(0) is the number of electrons. Grids are cubes of
odd size G with r = 0 and s = 0 at voxel G // 2; the two samplings obey v · spacing · G = 1.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from xraisim.core.errors import SamplingError


def require_odd(grid: int) -> None:
    """Raise :class:`SamplingError` unless ``grid`` is odd: an even cube has no middle voxel."""
    if grid % 2 == 0:
        raise SamplingError(f"a volume of {grid}³ voxels has no middle voxel; use an odd grid size")


def reciprocal(grid: int, spacing: float) -> float:
    """Return the voxel size in Å of a grid with ``spacing`` in Å⁻¹, and the other way round."""
    return 1 / (grid * spacing)


def to_structure_factors(
    density: Float[Tensor, "G G G"], voxel_angstrom: float
) -> Complex[Tensor, "G G G"]:
    """Return F(s) of a density; spacing 1/(G·voxel) Å⁻¹."""
    require_odd(density.shape[0])
    # The positive exponent is torch's inverse transform; "forward" leaves it without a factor.
    spectrum = torch.fft.ifftn(torch.fft.ifftshift(density), norm="forward")
    return torch.fft.fftshift(spectrum) * voxel_angstrom**3


def to_density(
    structure_factors: Complex[Tensor, "G G G"], spacing: float
) -> Float[Tensor, "G G G"]:
    """Return ρ(r) of structure factors with ``spacing`` in Å⁻¹; voxel size 1/(G·spacing) Å.

    Inverse of :func:`to_structure_factors`. The density is real, so only the Friedel-symmetric part
    of F counts.
    """
    require_odd(structure_factors.shape[0])
    density = torch.fft.fftn(torch.fft.ifftshift(structure_factors))
    return torch.fft.fftshift(density).real * spacing**3


def coordinates(grid: int, spacing: float) -> Float[Tensor, "G G G 3"]:
    """Return the position of every voxel relative to the centre, float32, in units of spacing."""
    axis = (torch.arange(grid) - grid // 2).float() * spacing
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)


def radius(grid: int, spacing: float, device: str | torch.device = "cpu") -> Float[Tensor, "G G G"]:
    """Return the distance of every voxel from the centre, float32, in units of ``spacing``."""
    squares = ((torch.arange(grid, device=device) - grid // 2).float() * spacing) ** 2
    return torch.sqrt(squares[:, None, None] + squares[:, None] + squares)


def crop_or_pad(volume: Tensor, grid: int) -> Tensor:
    """Return the cube cut, or padded with zeros, to ``grid`` voxels about the same centre."""
    require_odd(volume.shape[0])
    require_odd(grid)
    margin = (grid - volume.shape[0]) // 2
    if margin >= 0:
        return torch.nn.functional.pad(volume, (margin,) * 6)
    inner = slice(-margin, margin)
    return volume[inner, inner, inner]
