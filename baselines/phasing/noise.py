"""What R-factor a right density would have: the noise of an intensity, seen where nothing else is.

The transform of an intensity is the particle's autocorrelation, which ends one diameter from the
centre; what lies beyond is noise, and as strong within.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xraisim.core.fourier import radius, reciprocal, to_density, to_structure_factors
from xraisim.core.radial import shell_means, shell_numbers, shell_sums
from xraisim.core.types import Volume

_BEGINS, _RISES = 1.2, 0.3  # diameters from the centre: a filter that rises sharply rings
_EDGE_SHELLS = 2.5  # beside the limits it rings all the same
_SMOOTHED_SHELLS = 3.0


def noise_r_factors(
    intensity: Volume,
    s_range: tuple[float, float],
    diameter_angstrom: float,
    weight: Float[Tensor, "G G G"] | None = None,
) -> Float[Tensor, "shells"]:
    """Return Σ|√I − √I′| / Σ √I in the shells 0 … G//2 + 1 (float64), I′ being I without noise.

    Shells beside the limits of ``s_range``, and beyond, are given the values of their neighbours.
    """
    grid, spacing = intensity.grid, intensity.spacing
    distance = radius(grid, spacing).to(intensity.values.device)
    known = (distance >= s_range[0]) & (distance <= s_range[1])
    if weight is not None:
        known &= weight > 0
    flat = torch.where(known, intensity.values / _envelope(intensity.values, known), 1)
    r = radius(grid, reciprocal(grid, spacing)).to(flat.device) / diameter_angstrom
    outside = (1 - torch.cos(math.pi * ((r - _BEGINS) / _RISES).clamp(0, 1))) / 2
    beyond = to_density((flat - 1).to(torch.complex64), spacing) * outside
    noise = to_structure_factors(beyond, reciprocal(grid, spacing)).real
    measured, smooth = flat.clamp_min(0).sqrt(), (flat - noise).clamp_min(0).sqrt()
    error = shell_sums((measured - smooth).abs(), known) / outside.square().mean().sqrt().item()
    ratio = error / shell_sums(measured, known).clamp_min(1e-30)
    low, high = s_range[0] / spacing, s_range[1] / spacing
    first = math.ceil(low + _EDGE_SHELLS) if low > 0 else 0
    last = math.floor(high - _EDGE_SHELLS)
    if first > last:
        first = last = round((low + high) / 2)
    return ratio.cpu()[torch.arange(len(ratio) + 1).clamp(first, last)]


def _envelope(
    values: Float[Tensor, "G G G"], known: Bool[Tensor, "G G G"]
) -> Float[Tensor, "G G G"]:
    """Return the shell means, smoothed: dividing by it hardly widens an autocorrelation."""
    mean = shell_means(values, known)
    there = torch.isfinite(mean) & (mean > 0)
    number = torch.arange(len(mean), device=mean.device, dtype=mean.dtype)
    kernel = torch.exp(-0.5 * ((number[:, None] - number) / _SMOOTHED_SHELLS) ** 2) * there
    level = (kernel @ mean.clamp_min(1e-300).log().where(there, 0)) / kernel.sum(1)
    shells = shell_numbers(len(values), mean.device).clamp_max(len(mean) - 1)
    return level.exp().float()[shells]
