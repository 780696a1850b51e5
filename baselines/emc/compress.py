"""Compress: put what the patterns gave to each direction back into a volume.

The harmonics that :func:`baselines.emc.correlate.spread` collects are those of photons and of
fluence in each direction's frame. In real space they are photons and exposures on the polar grid,
which the slice's own adjoint scatters into the volume (Loh & Elser 2009, eq. 12).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.emc.expand import Detector, Profile
from baselines.emc.harmonics import unpack
from baselines.emc.polar import PolarGrid
from xraisim.core import rotations
from xraisim.core.fourier import radius, reciprocal, to_structure_factors
from xraisim.core.merge import Accumulator
from xraisim.core.radial import radial_mean
from xraisim.core.symmetry import symmetrize
from xraisim.core.types import Volume

_SAMPLES = 2**23  # slice samples put back at once, which bounds the memory
_BALL = 0.4  # radius of the random ball in diameters; particles are densest inside
_SMALLEST_BALL, _LARGEST_BALL = 0.2, 0.6  # radii of junk in diameters of the particle
_FAINTEST = 1e-3  # of the radial mean: rings of a ball that is not quite round are never dark
_DARKEST = 0.02  # of the radial mean: no voxel may start at zero, where its logarithm ends


def insert(
    merged: Accumulator,
    sums: Float[Tensor, "D W"],
    profile: Profile,
    grid: PolarGrid,
    detector: Detector,
    frames: Float[Tensor, "D 4"],
    share: Callable[[Float[Tensor, "D 4"]], Float[Tensor, "D N"]] | None = None,
) -> None:
    """Add the patterns' sums of every direction to a volume of photons and exposures.

    Exposures are weighted by the radial profile, so that photons over exposure is the intensity
    relative to it. ``share`` gives the probability that a photon is signal, where not all are.
    """
    points = grid.points.to(sums.device)
    weight = profile.at(grid.radius)[grid.ring_of_point].to(sums.device)
    seen = sums[:, grid.fluence_columns[0]].nonzero()[:, 0]
    for part in seen.split(max(1, _SAMPLES // len(grid.points))) if len(seen) else ():
        photons, exposure = polar_sums(sums[part], grid, detector)
        exposure = exposure.mul_(weight)
        if share is not None:
            photons = photons * share(frames[part])
        turn = rotations.to_matrix(frames[part])
        merged.add_slices(photons, exposure, turn, points)


def polar_sums(
    sums: Float[Tensor, "D W"], grid: PolarGrid, detector: Detector
) -> tuple[Float[Tensor, "D N"], Float[Tensor, "D N"]]:
    """Return photons and exposures (fluence × gain) in each point of the polar grid."""
    harmonics = torch.view_as_complex(unpack(grid, sums)).conj()
    photons, fluence = harmonics[:, :-1], -harmonics[:, -1:]
    return grid.inverse(photons), grid.inverse(fluence * detector.gain.conj())


def volume_of(
    merged: Accumulator, profile: Profile, prior: float, group: Float[Tensor, "m 4"]
) -> Volume:
    """Return the intensity (electrons²): photons over exposures, times the radial profile.

    Both are averaged over the point group first. Where nothing was merged it is the profile.
    """
    cube = profile.at(radius(merged.photons.shape[0], merged.spacing)).to(merged.photons)
    if not bool((merged.exposure > 0).any()):
        return Volume(values=cube, spacing=merged.spacing, kind="intensity")
    kept = Accumulator(
        photons=merged.photons.clamp_min(0),
        exposure=merged.exposure.clamp_min(0),
        spacing=merged.spacing,
    )
    relative = kept.volume(prior, group)
    return Volume(values=relative.values * cube, spacing=relative.spacing, kind="intensity")


def random_start(
    profile: Profile,
    grid: tuple[int, float],
    diameter_angstrom: float,
    group: Float[Tensor, "m 4"],
    generator: torch.Generator,
) -> Volume:
    """Return the radial profile of the data times the speckles of a random ball of the right size.

    Speckles of the true size last through the first merges, where voxel noise would average out and
    leave every start to fall the same way.
    """
    voxel = reciprocal(*grid)
    ball = radius(grid[0], voxel) < _BALL * diameter_angstrom
    density = torch.randn(ball.shape, generator=generator) * ball
    speckle = symmetrize(to_structure_factors(density, voxel).abs() ** 2, group)
    relative = speckle / radial_mean(speckle, torch.ones_like(speckle))
    values = profile.at(radius(*grid)) * relative.clamp_min(_DARKEST)
    return Volume(values=values, spacing=grid[1], kind="intensity")


def ball_radii(count: int, diameter_angstrom: float) -> list[float]:
    """Return radii (Å) of so many balls, in equal ratios around that of the particle."""
    low, high = _SMALLEST_BALL, _LARGEST_BALL
    steps = [(number + 0.5) / count for number in range(count)]
    return [diameter_angstrom * low * (high / low) ** step for step in steps]


def ball_start(profile: Profile, grid: tuple[int, float], radius_angstrom: float) -> Volume:
    """Return the intensity of a solid ball, as bright as the radial profile of the data.

    |F(s)|² ∝ (3 (sin x − x cos x) / x³)² with x = 2π s R (Guinier & Fournet 1955).
    """
    s = radius(*grid)
    x = (2 * torch.pi * radius_angstrom * s).clamp_min(0.1)
    form = (3 * (x.sin() - x * x.cos()) / x**3) ** 2
    mean = profile.at(s)
    values = form * ((mean * form).sum() / form.square().sum())
    return Volume(values=values.maximum(_FAINTEST * mean), spacing=grid[1], kind="intensity")


def relative_change(new: Tensor, old: Tensor) -> float | None:
    """Return ‖new − old‖ / ‖old‖, or None for volumes of different size."""
    if new.shape != old.shape:
        return None
    return float((new - old).norm() / old.norm())
