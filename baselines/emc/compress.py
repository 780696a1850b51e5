"""Compress: put tomograms back into a volume, with the slice's own adjoint.

Voxels are photons over exposure (Loh & Elser 2009, eq. 12), Friedel-averaged, with a floor that
pulls ill-measured ones to the radial mean (``xraisim.core.merge``).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.emc.maximize import Tomograms
from xraisim.core.fourier import radius, reciprocal, to_structure_factors
from xraisim.core.merge import Accumulator, radial_mean
from xraisim.core.types import Pixels, Volume

_SAMPLES = 2**24  # slice samples put back at once, which bounds the memory
_BALL = 0.4  # radius of the random ball in diameters; particles are densest inside
_DARKEST = 0.02  # of the radial mean: no voxel may start at zero, where its logarithm ends


def compress(
    tomograms: Tomograms,
    pixels: Pixels,
    rotation: Float[Tensor, "R 3 3"],
    grid: tuple[int, float],
    prior: float,
) -> Volume:
    """Return the intensity (electrons²) of tomograms on a (size, spacing in Å⁻¹) grid."""
    merged = Accumulator.empty(*grid, device=pixels.s.device)
    seen = (tomograms.exposure > 0).nonzero()[:, 0]
    for rows in seen.split(max(1, _SAMPLES // len(pixels))):
        exposure = tomograms.exposure[rows, None] * pixels.gain
        merged.add_slices(tomograms.photons[rows], exposure, rotation[rows], pixels.s)
    return merged.volume(prior)


def random_start(
    mean_counts: Float[Tensor, "P"],
    pixels: Pixels,
    grid: tuple[int, float],
    diameter_angstrom: float,
    generator: torch.Generator,
) -> Volume:
    """Return the radial mean of the data times the speckles of a random ball of the right size.

    Speckles of the true size last through the first merges, where voxel noise would average out and
    leave every start to fall the same way.
    """
    merged = Accumulator.empty(*grid, device=pixels.s.device)
    signal = (mean_counts - pixels.background).clamp_min(0)
    identity = torch.eye(3, device=pixels.s.device)[None]
    merged.add_slices(signal[None], pixels.gain[None], identity, pixels.s)
    profile = radial_mean(merged.photons, merged.exposure)
    voxel = reciprocal(*grid)
    ball = radius(grid[0], voxel) < _BALL * diameter_angstrom
    density = torch.randn(ball.shape, generator=generator) * ball
    speckle = to_structure_factors(density, voxel).abs() ** 2
    relative = speckle / radial_mean(speckle, torch.ones_like(speckle))
    values = profile * relative.clamp_min(_DARKEST).to(profile)
    return Volume(values=values, spacing=merged.spacing, kind="intensity")


def relative_change(new: Tensor, old: Tensor) -> float | None:
    """Return ‖new − old‖ / ‖old‖, or None for volumes of different size."""
    if new.shape != old.shape:
        return None
    return float((new - old).norm() / old.norm())
