"""Speckle as a random field: the intensity's relative deviations from its radial mean.

The intensity of a particle of diameter D is the transform of its autocorrelation, which is zero
beyond D, so its speckles are band-limited. Their variance relative to the mean is 1, as the
intensities of many atoms are exponentially distributed (Wilson 1949, *Acta Cryst.* 2, 318).
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import isotonic_regression
from torch import Tensor

from xraisim.core.closed_form.lattice import Lattice
from xraisim.core.radial import interpolated, sum_by_shell

_BINS = 20  # of the measured spectrum, per D, where the lattice is fine enough
# Less of the variance of 1 than this, and the noise hides the spectrum.
_HIDDEN = 0.1


def overlap(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the volume that two spheres of diameter D share at a distance x·D: a solid sphere's
    speckle spectrum, 1 − 3x/2 + x³/2.
    """
    near = x.clamp_max(1)
    return (1 - 1.5 * near + 0.5 * near**3).clamp_min(0)


def measured_spectrum(
    lattice: Lattice,
    data: Float[Tensor, "G G G"],
    weight: Float[Tensor, "G G G"],
    limit: float,
) -> Float[Tensor, "N N M"]:
    """Return the spectrum of the speckles in ``data``: falling with distance, 0 beyond ``limit``.

    ``data`` are relative deviations with noise of variance 1/``weight``, both blurred by trilinear
    weights. Beyond ``limit`` (in D) there is no signal, and the mean power there says how strong
    the noise is; what it leaves of the power nearer by is the speckles'.
    """
    taper = weight / (1 + weight)
    power = lattice.transform(lattice.padded(taper * data)).square()
    noise = lattice.separable(lambda k: (2 + torch.cos(2 * math.pi * k)) / 3)
    blur = lattice.separable(lambda k: torch.sinc(k) ** 4)
    beyond = (lattice.x > limit).to(power)
    level = lattice.dot(power, beyond) / lattice.dot(noise, beyond)
    columns = (power - level * noise, blur, torch.ones_like(blur))
    per_d = min(_BINS, int(lattice.size * lattice.reach))  # none of the bins is empty
    bins = (lattice.x * per_d).long().reshape(-1)
    sums = (
        sum_by_shell(bins, (lattice.copies * column).double().reshape(-1)) for column in columns
    )
    signal, share, modes = (one[: math.ceil(limit * per_d)].cpu().numpy() for one in sums)
    if signal.sum() < _HIDDEN * float(taper.square().sum()):
        return overlap(lattice.x / limit)
    # Pooling neighbours that do not fall averages the noise, where taking the larger would add it.
    falling = isotonic_regression(signal / share, weights=modes, increasing=False).x
    found = torch.from_numpy(np.ascontiguousarray(falling)).to(data).clamp_min(0)
    smooth = interpolated(found, lattice.x * per_d - 0.5)
    return torch.where(lattice.x < limit, smooth, 0.0)


class Speckle:
    """Real even fields of unit variance, band-limited as speckles are.

    ``power`` [N, N, N//2 + 1] is their spectrum, the variance of every plane wave: its mean over
    the grid is 1.
    """

    def __init__(self, lattice: Lattice, power: Float[Tensor, "N N M"]) -> None:
        self.lattice = lattice
        self.power = power * (lattice.size**3 / lattice.dot(power, torch.ones_like(power)))
        self._root = self.power.sqrt()

    def estimate(
        self, data: Float[Tensor, "G G G"], weight: Float[Tensor, "G G G"], steps: int
    ) -> Float[Tensor, "G G G"]:
        """Return the field likeliest under Gaussian noise of variance 1/``weight`` in ``data``.

        Conjugate gradients on (1 + C½ W C½) z = C½ W y, whose field C½ z is the estimate.
        """
        dot, padded = self.lattice.dot, self.lattice.padded(weight)
        # The diagonal of the system, exactly.
        diagonal = 1 + self.power * padded.mean()
        target = self._root * self.lattice.transform(padded * self.lattice.padded(data))
        found = target / diagonal
        rest = target - self._system(found, padded)
        ahead = direction = rest / diagonal
        size = dot(rest, ahead)
        for _ in range(steps):
            turned = self._system(direction, padded)
            length = size / dot(direction, turned).clamp_min(1e-30)
            found, rest = found + length * direction, rest - length * turned
            ahead = rest / diagonal
            size, before = dot(rest, ahead), size
            direction = ahead + size / before.clamp_min(1e-30) * direction
        return self.lattice.cut(self.lattice.back(self._root * found))

    def projected(self, field: Float[Tensor, "G G G"]) -> Float[Tensor, "G G G"]:
        """Return the part of a field that lies within the band."""
        spectrum = self.lattice.transform(self.lattice.padded(field))
        return self.lattice.cut(self.lattice.back(torch.where(self.power > 0, spectrum, 0.0)))

    def _system(self, white: Tensor, weight: Tensor) -> Tensor:
        field = self.lattice.back(self._root * white)
        return white + self._root * self.lattice.transform(weight * field)
