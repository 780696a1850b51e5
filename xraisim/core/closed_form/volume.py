"""The closed-form volume: sums of photons and exposure, and what is known of every speckle pattern.

With V = V̄(1 + u), V̄ the radial mean, u is a random field of unit variance whose spectrum vanishes
beyond the particle's diameter (:mod:`xraisim.core.closed_form.speckle`). Given photons P and
exposure E per voxel it is the minimum of

    Σ E·V̄ (u − P/(E·V̄) + 1)² + ⟨u, C⁻¹ u⟩

with C the covariance: a Wiener filter whose strength follows the exposure. Where much was measured
it keeps the data within the band; where little was, the speckles of which it may be sure; gaps such
as the beamstop's are filled from their surroundings. A conjugate gradient step costs one Fourier
transform there and one back.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core.closed_form.blur import sharpened
from xraisim.core.closed_form.config import ClosedFormConfig
from xraisim.core.closed_form.lattice import Lattice
from xraisim.core.closed_form.speckle import Speckle, measured_spectrum, overlap
from xraisim.core.errors import SamplingError
from xraisim.core.merge import Accumulator
from xraisim.core.radial import smooth_radial_mean
from xraisim.core.types import Volume

_DARKEST = 0.02  # of the radial mean: no voxel may exclude a photon
# A voxel's own mean is as good as the filtered value where its photons are about this many: the
# filter, its spectrum being the same everywhere, is that much off.
_OWN_PHOTONS = 500.0


def volume_from_sums(
    sums: Accumulator,
    diameter_angstrom: float,
    config: ClosedFormConfig,
    group: Float[Tensor, "m 4"] | None = None,
) -> Volume:
    """Return the likeliest intensity (electrons²) of a particle of that diameter, given the sums.

    ``group``: rotations of a point group, over which the sums are averaged first. The blur of the
    sums' trilinear weights is undone. Every voxel is positive. Raises :class:`SamplingError` for a
    grid too coarse for the diameter, and for sums without photons.
    """
    _check(sums, diameter_angstrom, config)
    both = sums.symmetric(group)
    photons, exposure = both.photons, both.exposure
    mean = smooth_radial_mean(photons, exposure)
    expected = exposure * mean
    data = torch.where(exposure > 0, photons / expected.clamp_min(1e-30) - 1, 0.0)
    weight = expected.clamp_max(config.photons)
    lattice = Lattice(sums.photons.shape[0], diameter_angstrom * sums.spacing, photons.device)
    power = _spectrum(lattice, data, weight, config)
    u = Speckle(lattice, power).estimate(data, weight, config.steps)
    u = torch.lerp(u, data, expected / (expected + _OWN_PHOTONS))
    values = sharpened(mean * (1 + u), lattice.reach)
    values = torch.maximum(values, _DARKEST * mean)
    return Volume(values=values, spacing=sums.spacing, kind="intensity")


def for_look_up(volume: Volume, diameter_angstrom: float) -> Volume:
    """Return values whose trilinear interpolation is the intensity, between the voxels too.

    Interpolation blurs just as insertion does, so likelihoods come out nearer to those of the
    intensity itself. At the voxels these values are not the intensity.
    """
    sharp = sharpened(volume.values, diameter_angstrom * volume.spacing)
    values = torch.maximum(sharp, _DARKEST * volume.values)
    return Volume(values=values, spacing=volume.spacing, kind=volume.kind)


def _spectrum(
    lattice: Lattice, data: Tensor, weight: Tensor, config: ClosedFormConfig
) -> Float[Tensor, "N N M"]:
    limit = 1 + config.margin
    if config.spectrum == "measured":
        return measured_spectrum(lattice, data, weight, limit)
    if config.spectrum == "overlap":
        return overlap(lattice.x / limit)
    return (lattice.x < limit).to(data)


def _check(sums: Accumulator, diameter_angstrom: float, config: ClosedFormConfig) -> None:
    voxels, needed = 1 / (diameter_angstrom * sums.spacing), 2 * (1 + config.margin)
    if voxels <= needed:
        raise SamplingError(
            f"the sums have {voxels:.3g} voxels per 1/D of a {diameter_angstrom:.0f} Å particle; "
            f"its autocorrelation needs more than {needed:.3g}: sample finer, or lower the margin"
        )
    if not bool((sums.photons > 0).any()):
        raise SamplingError("the sums hold no photons; add patterns before making a volume")
