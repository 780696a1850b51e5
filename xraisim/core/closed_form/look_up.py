"""What a trilinear look-up in a sampled volume is wrong by."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from xraisim.core.closed_form.lattice import Lattice
from xraisim.core.fourier import radius
from xraisim.core.radial import radial_mean
from xraisim.core.types import Volume

_BAND = 1.1  # in D: nothing of a particle's speckles lies beyond


def look_up_variance(
    volume: Volume, diameter_angstrom: float, oversampling: tuple[float, ...]
) -> list[float]:
    """Return the mean squared error of a look-up over the squared radial mean, per sampling.

    ``oversampling``: voxels per 1/D of the grids looked up in. The volume's own spectrum says how
    strong each plane wave is; a look-up of one with f cycles per voxel, averaged over places
    between the voxels, is wrong by 1 + Π(2 + cos 2πf)/3 − 2 Π sinc² f of its variance.
    """
    grid, reach = volume.grid, volume.spacing * diameter_angstrom
    inside = (radius(grid, 1.0, volume.values.device) <= grid // 2 - 1).to(volume.values)
    speckle = (volume.values / radial_mean(volume.values * inside, inside) - 1) * inside
    lattice = Lattice(grid, reach, volume.values.device)
    power = lattice.transform(lattice.padded(speckle)).square() * (lattice.x <= _BAND)
    found = []
    for one in oversampling:
        kept, along = (lattice.separable(part(1 / (one * reach))) for part in (_kept, _along))
        found.append(float(lattice.dot(power, 1 + kept - 2 * along) / inside.sum()))
    return found


def _kept(ratio: float) -> Callable[[Tensor], Tensor]:
    """Return the mean square of a look-up of a wave, whose cycles per voxel change by a ratio."""
    return lambda cycles: (2 + torch.cos(2 * math.pi * ratio * cycles)) / 3


def _along(ratio: float) -> Callable[[Tensor], Tensor]:
    """Return the mean product of the look-up and the wave itself."""
    return lambda cycles: torch.sinc(ratio * cycles) ** 2
