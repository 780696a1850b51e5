"""Real-to-complex transforms of batches of cubes, and the passage to centred volumes.

Densities [B, N, N, N] are in FFT order (r = 0 at voxel 0), structure factors [B, N, N, H] the half
H = N//2 + 1 that a real transform gives. The transform's exponent is negative where the project's
is positive: that exchanges a density and its inverse, between which intensities cannot tell anyway;
:func:`centred_factors` undoes it.

N is even, which transforms a third faster than an odd number of its size; volumes outside this
package are centred cubes of odd size g < N, so the Nyquist planes are never used.
"""

import scipy.fft
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from xraisim.core.dispatch import in_loops

_FAST_FACTORS = (2, 3, 5, 7)


def fast_grid(minimum: int) -> int:
    """Return the smallest even number ≥ ``minimum`` without prime factors above 7."""
    grid = minimum + minimum % 2
    while not _is_smooth(grid):
        grid += 2
    return grid


def _is_smooth(number: int) -> bool:
    for factor in _FAST_FACTORS:
        while number % factor == 0:
            number //= factor
    return number == 1


def forward(density: Float[Tensor, "B N N N"]) -> Complex[Tensor, "B N N H"]:
    """Return Σ_r ρ(r) exp(−2πi k·r/N) for k_z ≥ 0."""
    return torch.fft.rfftn(density, dim=(1, 2, 3))


def inverse(factors: Complex[Tensor, "B N N H"]) -> Float[Tensor, "B N N N"]:
    """Return the density of :func:`forward`; ``factors`` may be overwritten."""
    grid = factors.shape[1]
    if not in_loops(factors.device):
        return torch.fft.irfftn(factors, s=(grid,) * 3, dim=(1, 2, 3))
    # MKL is the faster one forwards and along z; backwards through irfftn it copies the cube twice,
    # and pocketfft turns the other two axes in place (measured: docs/measurements/phasing.md).
    planes = scipy.fft.ifftn(factors.numpy(), axes=(1, 2), overwrite_x=True)
    return torch.fft.irfft(torch.from_numpy(planes), n=grid, dim=3)


def to_half(volume: Tensor, grid: int, fill: int = 0) -> Tensor:
    """Return the half [..., N, N, N//2 + 1] of centred cubes [..., g, g, g]; ``fill`` beyond."""
    reach = volume.shape[-1] // 2
    index = _index(volume.shape[-1], grid, volume.device)
    half = volume.new_full((*volume.shape[:-3], grid, grid, grid // 2 + 1), fill)
    half[..., index[:, None], index, : reach + 1] = volume[..., reach:]
    return half


def to_centred(half: Tensor, size: int) -> Tensor:
    """Return centred cubes [..., g, g, g] of odd ``size`` from a half with Friedel's symmetry."""
    reach = size // 2
    index = _index(size, half.shape[-3], half.device)
    upper = half[..., index[:, None], index, : reach + 1]
    lower = upper[..., 1:].flip(-3, -2, -1).conj()
    return torch.cat([lower, upper], dim=-1)


def centred_factors(
    density: Float[Tensor, "B N N N"], size: int, voxel_angstrom: float
) -> Complex[Tensor, "B g g g"]:
    """Return F in the project's convention (:mod:`xraisim.core.fourier`) up to k = size // 2."""
    return to_centred(forward(density).conj(), size) * voxel_angstrom**3


def resized(density: Float[Tensor, "B N N N"], grid: int, size: int) -> Float[Tensor, "B M M M"]:
    """Return the densities on M = ``grid`` voxels, their F cut to k ≤ ``size`` // 2."""
    factors = to_half(to_centred(forward(density), size), grid)
    return inverse(factors) * (grid / density.shape[1]) ** 3


def _index(size: int, grid: int, device: torch.device) -> Tensor:
    return (torch.arange(size, device=device) - size // 2) % grid
