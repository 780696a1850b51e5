"""Compress: put tomograms back into a volume, with the slice's own adjoint.

Voxels are photons over exposure (Loh & Elser 2009, eq. 12), Friedel-averaged, with a floor that
pulls ill-measured ones to the radial mean (``xraisim.core.merge``).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.emc.maximize import Tomograms
from xraisim.core.merge import Accumulator, radial_mean
from xraisim.core.types import Pixels, Volume

_SAMPLES = 2**24  # slice samples put back at once, which bounds the memory


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
    generator: torch.Generator,
) -> Volume:
    """Return the radial mean of the data with every voxel scaled by a uniform draw on [½, 1½)."""
    merged = Accumulator.empty(*grid, device=pixels.s.device)
    signal = (mean_counts - pixels.background).clamp_min(0)
    identity = torch.eye(3, device=pixels.s.device)[None]
    merged.add_slices(signal[None], pixels.gain[None], identity, pixels.s)
    profile = radial_mean(merged.photons, merged.exposure)
    draw = torch.rand(profile.shape, generator=generator).to(profile)
    return Volume(values=profile * (0.5 + draw), spacing=merged.spacing, kind="intensity")


def relative_change(new: Tensor, old: Tensor) -> float | None:
    """Return ‖new − old‖ / ‖old‖, or None for volumes of different size."""
    if new.shape != old.shape:
        return None
    return float((new - old).norm() / old.norm())
