"""Seeded inputs of the cases: a detector, a rough intensity, patterns of it."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations, so3
from xraisim.core.fourier import radius
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Photons, Pixels, Volume

_WAVELENGTH_ANGSTROM = 2.7
_S_MAX = 1 / 18  # Å⁻¹
DIAMETER_ANGSTROM = 250.0
_PHOTONS = 600.0


def draw(seed: int = 0) -> torch.Generator:
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


def detector(side: int = 128, background: float = 0.0) -> Pixels:
    """Return the pixels of a square detector on the Ewald sphere, with a beamstop."""
    axis = torch.linspace(-_S_MAX, _S_MAX, side)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    flat = (x**2 + y**2).reshape(-1)
    c = _WAVELENGTH_ANGSTROM / 2
    squared = (1 - (1 - 4 * c * c * flat).sqrt()) / (2 * c * c)
    s = torch.stack([x.reshape(-1), y.reshape(-1), -c * squared], 1)
    length = squared.sqrt()
    used = ((length < _S_MAX) & (length > 0.05 * _S_MAX)).nonzero()[:, 0]
    index = used[length[used].argsort(stable=True)]
    return Pixels(
        s=s[index],
        gain=1 - 0.3 * (length[index] / _S_MAX) ** 2,
        background=torch.full((len(index),), background),
        index=index,
        shape=(side, side),
    )


def intensity(grid: int = 81) -> Volume:
    """Return a rough intensity that falls off like a particle's and holds the detector."""
    spacing = _S_MAX * 1.02 / (grid // 2 - 1)
    falling = (1 + (radius(grid, spacing) / (0.2 * _S_MAX)) ** 2) ** -2
    values = falling * -torch.rand(grid, grid, grid, generator=draw()).clamp_min(1e-6).log()
    return Volume(values=values.float(), spacing=spacing, kind="intensity")


def patterns(
    number: int, pixels: Pixels, volume: Volume
) -> tuple[Photons, Float[Tensor, "n 4"], Float[Tensor, "n P"]]:
    """Return patterns of some 600 photons, their orientations, and the counts pixel by pixel."""
    poses = so3.haar(number, draw(1))
    rate = pixels.gain * slice_volume(
        volume.values, rotations.to_matrix(poses), pixels.s, volume.spacing
    )
    rate = rate * (_PHOTONS / rate.sum(1).mean()) + pixels.background
    counts = torch.poisson(rate, generator=draw(2))
    return to_photons(counts), poses, counts


def to_photons(counts: Float[Tensor, "n P"]) -> Photons:
    """Return counts in sparse form."""
    row, pixel = counts.nonzero().unbind(1)
    ends = torch.bincount(row, minlength=len(counts)).cumsum(0)
    return Photons(
        offsets=np.concatenate([[0], ends.numpy()]).astype(np.int64),
        pixel=pixel.int().numpy(),
        count=counts[row, pixel].int().numpy(),
    )
