"""The support: where the particle may be. It starts as a ball and shrinks around the density."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from baselines.phasing.transforms import forward, inverse
from xraisim.core.errors import FormatError, SamplingError
from xraisim.core.fourier import radius, reciprocal, to_density
from xraisim.core.radial import shell_means, shell_numbers, shell_sums
from xraisim.core.types import Volume

#: of the shrinkwrap, unless another is given or found better
FIRST_THRESHOLD = 0.10
_REACH = 0.98
_DIAMETER_PER_REACH = 1.4
_FLOOR_SHELLS = 8
_AUTOCORRELATION_BLUR = 3.0  # voxels
_BEYOND = 2.0  # times the median level beyond the largest vector between two atoms
_GROWTH = 1.15


def require_room(width_angstrom: float, diameter_angstrom: float) -> None:
    """Raise :class:`SamplingError` where the field is less than twice as wide as the particle.

    Such an intensity is sampled too coarsely to be phased.
    """
    if width_angstrom < 2 * diameter_angstrom:
        raise SamplingError(
            f"the intensity's spacing of {1 / width_angstrom:.3g} Å⁻¹ leaves a field of "
            f"{width_angstrom:.0f} Å for a particle of {diameter_angstrom:.0f} Å; phasing needs a "
            f"spacing below 1/(2D) = {1 / (2 * diameter_angstrom):.3g} Å⁻¹"
        )


def ball(grid: int, voxel_angstrom: float, diameter_angstrom: float) -> Bool[Tensor, "G G G"]:
    """Return a ball about the centre, centred."""
    return radius(grid, voxel_angstrom) <= diameter_angstrom / 2


def stated_support(
    density: Volume, threshold: float, grid: int, spacing: float
) -> Bool[Tensor, "G G G"]:
    """Return where ``density``, a mask or a map, exceeds ``threshold`` of its maximum.

    It is sampled on the field of an intensity of ``grid`` and ``spacing``. Raises
    :class:`FormatError` where that is nowhere and :class:`SamplingError` where it is too wide.
    """
    inside = density.values > threshold * density.values.max().clamp_min(0)
    voxel = reciprocal(grid, spacing)
    steps = (torch.arange(grid) - grid // 2) * (voxel / density.spacing)
    index = steps.round().long() + density.grid // 2
    there = (index >= 0) & (index < density.grid)
    index = index.clamp(0, density.grid - 1)
    found = inside[index[:, None, None], index[:, None], index]
    found &= there[:, None, None] & there[:, None] & there
    if not found.any():
        raise FormatError(
            f"the support is empty: no voxel of the given volume is above {threshold:g} of its "
            f"maximum, {float(density.values.max()):.4g}, within the field of {grid * voxel:.0f} Å"
        )
    reach = torch.nonzero(found)
    extent = reach.max(0).values - reach.min(0).values + 1
    require_room(grid * voxel, float(extent.max()) * voxel)
    return found


def on_grid(region: Bool[Tensor, "G G G"], grid: int) -> Bool[Tensor, "N N N"]:
    """Return a centred region sampled on ``grid`` voxels of the same field, in FFT order."""
    size = region.shape[0]
    steps = (torch.arange(grid, device=region.device) - grid // 2) * (size / grid)
    index = torch.fft.ifftshift(steps.round().long() + size // 2).clamp(0, size - 1)
    return region[index[:, None, None], index[:, None], index]


def half_of(support: Bool[Tensor, "N N N"], direction: Float[Tensor, "3"]) -> Bool[Tensor, "N N N"]:
    """Return the part of ``support`` that lies ahead of its centre, seen along ``direction``."""
    grid = support.shape[0]
    wave = torch.polar(torch.ones(grid), 2 * math.pi * torch.arange(grid) / grid).to(support.device)
    ahead = torch.zeros(support.shape, device=support.device)
    for axis in range(3):
        profile = support.sum(dim=[other for other in range(3) if other != axis])
        # The circular mean, and signed distances from it: the region may cross the cube's faces.
        from_centre = (wave * (profile * wave).sum().conj()).angle()
        shape = [grid if other == axis else 1 for other in range(3)]
        ahead += direction[axis] * from_centre.reshape(shape)
    return support & (ahead > 0)


def blur(density: Float[Tensor, "B N N N"], sigma_voxels: float) -> Float[Tensor, "B N N N"]:
    """Return the densities (FFT order) convolved with a Gaussian, periodically."""
    grid, device = density.shape[-1], density.device
    full = torch.fft.fftfreq(grid, device=device) ** 2
    half = torch.fft.rfftfreq(grid, device=device) ** 2
    factor = -2 * (math.pi * sigma_voxels) ** 2
    x, z = torch.exp(factor * full), torch.exp(factor * half)
    factors = forward(density).mul_(x[:, None, None] * x[:, None]).mul_(z)
    return inverse(factors)


def shrinkwrap(
    density: Float[Tensor, "B N N N"],
    sigma_voxels: float,
    threshold: float,
    volume_voxels: int | None = None,
) -> Bool[Tensor, "B N N N"]:
    """Return where the blurred positive density exceeds ``threshold`` of its maximum.

    (Marchesini et al. 2003.) With ``volume_voxels`` the support is rather the so many voxels of
    highest density: the particle's volume, if it is known. The support may grow as well as shrink.
    """
    smooth = blur(density.clamp_min(0), sigma_voxels)
    if volume_voxels is None:
        limit = threshold * smooth.amax(dim=(1, 2, 3))
    else:
        ranked = smooth.flatten(1)
        limit = ranked.kthvalue(ranked.shape[1] - volume_voxels, dim=1).values
    return smooth > limit[:, None, None, None]


def autocorrelation_support(
    intensity: Volume,
    s_range: tuple[float, float],
    threshold: float = 0.02,
    weight: Float[Tensor, "G G G"] | None = None,
) -> Bool[Tensor, "G G G"]:
    """Return a region, centred, that holds the particle: half that of its autocorrelation.

    (After Marchesini et al. 2003.) The autocorrelation is the contrast's
    (:func:`contrast_autocorrelation`), squared, blurred and rooted; it counts where it exceeds
    ``threshold`` of its highest value above the level beyond. That region is the particle and its
    inverse added, as wide as twice the particle in every direction; halved, it misses the
    particle's corners, so it is grown by a tenth. The voxel size is 1/(G · spacing).
    """
    power = contrast_autocorrelation(intensity, s_range, weight) ** 2
    smooth = blur(power[None], _AUTOCORRELATION_BLUR)[0].clamp_min(0).sqrt()
    beyond = smooth[radius(intensity.grid, 1.0).to(smooth.device) > intensity.grid // 2 - 2]
    region = smooth > threshold * power.max().sqrt() + _BEYOND * beyond.median()
    grid = intensity.grid
    steps = torch.arange(grid, device=smooth.device) - grid // 2
    source = (steps * (2 / _GROWTH)).round().long() + grid // 2
    inside = (source >= 0) & (source < grid)
    found = torch.zeros_like(region)
    where, source = torch.nonzero(inside)[:, 0], source[inside]
    found[where[:, None, None], where[:, None], where] = region[
        source[:, None, None], source[:, None], source
    ]
    return found


def contrast_autocorrelation(
    intensity: Volume,
    s_range: tuple[float, float],
    weight: Float[Tensor, "G G G"] | None = None,
) -> Float[Tensor, "G G G"]:
    """Return the centred autocorrelation of the particle's contrast, voxel size 1/(G · spacing).

    The intensity within ``s_range`` is divided by its shell means and one is subtracted, so that
    neither the missing centre nor the steep profile spreads its autocorrelation. Voxels without
    ``weight`` count as missing.
    """
    r = radius(intensity.grid, intensity.spacing).to(intensity.values.device)
    known = (r >= s_range[0]) & (r <= min(s_range[1], intensity.spacing * (intensity.grid // 2)))
    if weight is not None:
        known &= weight > 0
    mean = shell_means(intensity.values, known).nan_to_num(0.0)
    number = shell_numbers(intensity.grid, r.device).clamp_max(intensity.grid // 2)
    ratio = intensity.values / mean.float()[number].clamp_min(1e-30)
    contrast = torch.where(known, ratio - 1, 0).to(torch.complex64)
    return to_density(contrast, intensity.spacing)


def estimate_diameter(
    intensity: Volume,
    s_range: tuple[float, float],
    weight: Float[Tensor, "G G G"] | None = None,
) -> float:
    """Return a diameter in Å, 0.9 to 1.5 times the true one, from the autocorrelation's reach.

    The power of the contrast's autocorrelation beyond the floor (the mean of the outermost shells:
    noise) is summed outwards; 1.4 times the radius that holds 98 % of it is a safe diameter: 0.9 of
    the longest extent for the 50S subunit, whose outline is uneven, and 1.5 for a sphere with a
    sharp edge.
    """
    power = shell_sums(contrast_autocorrelation(intensity, s_range, weight) ** 2)
    count = shell_sums(torch.ones_like(intensity.values))
    signal = (power - (power / count)[-_FLOOR_SHELLS:].mean() * count).clamp_min(0).cumsum(0)
    reach = int((signal < _REACH * signal[-1]).sum())
    return _DIAMETER_PER_REACH * reach * reciprocal(intensity.grid, intensity.spacing)
