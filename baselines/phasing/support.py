"""The support: where the particle may be. It starts as a ball and shrinks around the density."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xraisim.core.errors import SamplingError
from xraisim.core.fourier import radius, reciprocal, to_density
from xraisim.core.fsc import shell_numbers, shell_sums
from xraisim.core.types import Volume

_REACH = 0.98
_DIAMETER_PER_REACH = 1.4
_FLOOR_SHELLS = 8


def ball(grid: int, voxel_angstrom: float, diameter_angstrom: float) -> Bool[Tensor, "G G G"]:
    """Return a ball about the centre, in FFT order.

    Raises :class:`SamplingError` where the cube is less than twice as wide as the ball: such an
    intensity is sampled too coarsely to be phased.
    """
    width = grid * voxel_angstrom
    if width < 2 * diameter_angstrom:
        raise SamplingError(
            f"the intensity's spacing of {1 / width:.3g} Å⁻¹ leaves a field of {width:.0f} Å for a "
            f"particle of {diameter_angstrom:.0f} Å; phasing needs a spacing below 1/(2D) = "
            f"{1 / (2 * diameter_angstrom):.3g} Å⁻¹"
        )
    return torch.fft.ifftshift(radius(grid, voxel_angstrom) <= diameter_angstrom / 2)


def blur(density: Float[Tensor, "G G G"], sigma_voxels: float) -> Float[Tensor, "G G G"]:
    """Return the density (FFT order) convolved with a Gaussian, periodically."""
    grid, device = density.shape[0], density.device
    full = torch.fft.fftfreq(grid, device=device) ** 2
    half = torch.fft.rfftfreq(grid, device=device) ** 2
    exponent = full[:, None, None] + full[:, None] + half
    transfer = torch.exp(-2 * (math.pi * sigma_voxels) ** 2 * exponent)
    return torch.fft.irfftn(torch.fft.rfftn(density).mul_(transfer), s=density.shape)


def shrinkwrap(
    density: Float[Tensor, "G G G"], sigma_voxels: float, threshold: float
) -> Bool[Tensor, "G G G"]:
    """Return where the blurred positive density exceeds ``threshold`` of its maximum.

    (Marchesini et al. 2003.) The support may grow as well as shrink.
    """
    smooth = blur(density.clamp_min(0), sigma_voxels)
    return smooth > threshold * smooth.max()


def estimate_diameter(intensity: Volume, s_range: tuple[float, float]) -> float:
    """Return a diameter in Å, 0.9 to 1.5 times the true one, from the autocorrelation's reach.

    The intensity within ``s_range`` is divided by its shell means and one is subtracted, so that
    neither the missing centre nor the steep profile spreads its autocorrelation. The power of that
    beyond the floor (the mean of the outermost shells: noise) is summed outwards; 1.4 times the
    radius that holds 98 % of it is a safe diameter: 0.9 of the longest extent for the 50S subunit,
    whose outline is uneven, and 1.5 for a sphere with a sharp edge.
    """
    r = radius(intensity.grid, intensity.spacing).to(intensity.values.device)
    known = (r >= s_range[0]) & (r <= min(s_range[1], intensity.spacing * (intensity.grid // 2)))
    ones = torch.ones_like(intensity.values)
    mean = shell_sums(intensity.values, known) / shell_sums(ones, known).clamp_min(1)
    number = shell_numbers(intensity.grid).to(r.device).clamp_max(intensity.grid // 2)
    ratio = intensity.values / mean.float()[number].clamp_min(1e-30)
    contrast = torch.where(known, ratio - 1, 0).to(torch.complex64)
    power = shell_sums(to_density(contrast, intensity.spacing) ** 2)
    count = shell_sums(ones)
    signal = (power - (power / count)[-_FLOOR_SHELLS:].mean() * count).clamp_min(0).cumsum(0)
    reach = int((signal < _REACH * signal[-1]).sum())
    return _DIAMETER_PER_REACH * reach * reciprocal(intensity.grid, intensity.spacing)
