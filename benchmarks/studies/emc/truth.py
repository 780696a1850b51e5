"""How near an intensity is to the truth, and how likely it makes patterns that it has not seen.

Volumes of different sampling are compared on one grid of 3.2 voxels per 1/D: each finer voxel is
shared out among the eight around it, so that a fine grid's noise is averaged, and counts for what
it says there. The truth goes the same way, turned into the volume's frame first.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xraisim.core import rotations, so3
from xraisim.core.align import align_intensity
from xraisim.core.fourier import coordinates
from xraisim.core.fsc import intensity_correlation
from xraisim.core.merge import intensity_grid
from xraisim.core.radial import shell_s
from xraisim.core.sampling import insert_slices, slice_volume
from xraisim.core.types import Photons, Pixels, Volume

OVERSAMPLING = 3.2
_ROTATIONS_AT_ONCE = 500
_FLOOR = 1e-4  # of the mean expected photons: no template may exclude a photon


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The true intensity, the range of |s| (Å⁻¹) that was measured, the particle's diameter (Å)."""

    volume: Volume
    s_range: tuple[float, float]
    diameter_angstrom: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Pearson correlation with the truth per shell, the shell's mean removed; ``mean`` of them."""

    s_per_angstrom: tuple[float, ...]
    correlation: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over shells; one that a volume does not reach counts as 0."""
        return float(np.mean(self.correlation))


def agreement(volume: Volume, truth: Truth, seed: int = 0) -> Agreement:
    """Align ``volume`` with the truth and correlate them shell by shell."""
    low, high = truth.s_range
    mine = shared_out(volume, high, truth.diameter_angstrom)
    plain = shared_out(truth.volume, high, truth.diameter_angstrom)
    reach = min(high, (volume.grid // 2 - 1) * volume.spacing) - mine.spacing
    found = align_intensity(mine, plain, (low + mine.spacing, reach), seed)
    turned = shared_out(truth.volume, high, truth.diameter_angstrom, found.quaternion)
    curve = intensity_correlation(mine.values, turned.values)
    s = shell_s(mine.grid, mine.spacing)
    half = mine.spacing / 2
    keep = (s >= low + half) & (s <= high - half)
    return Agreement(
        s_per_angstrom=tuple(round(value, 6) for value in s[keep].tolist()),
        correlation=tuple(round(value, 5) for value in curve[keep].nan_to_num(0.0).tolist()),
    )


def reaches(volume: Volume, s_max: float) -> bool:
    """Return whether the volume covers |s| up to ``s_max`` (Å⁻¹)."""
    return (volume.grid // 2 - 1) * volume.spacing >= s_max


def shared_out(
    volume: Volume, s_max: float, diameter_angstrom: float, quaternion: Tensor | None = None
) -> Volume:
    """Return the volume on the common grid, V(A s) where ``quaternion`` gives A."""
    grid, spacing = intensity_grid(s_max, diameter_angstrom, OVERSAMPLING)
    reach = (volume.grid // 2 - 2) * volume.spacing
    points = coordinates(volume.grid, volume.spacing).reshape(-1, 3).float()
    points = points[points.norm(dim=1) <= min(reach, s_max + spacing)].contiguous()
    unturned = torch.eye(3)[None]
    turn = unturned
    if quaternion is not None:
        # slices are V(Rᵀ s)
        turn = rotations.to_matrix(rotations.conjugate(quaternion))[None]
    values = slice_volume(volume.values, turn, points, volume.spacing)
    where = (unturned, points, spacing, grid)
    weight = insert_slices(torch.ones_like(values), *where)
    total = insert_slices(values, *where)
    return Volume(values=total / weight.clamp_min(1e-6), spacing=spacing, kind="intensity")


def likelihood_per_photon(
    volume: Volume, pixels: Pixels, photons: Photons, orientations: int
) -> float:
    """Return the mean over patterns of log mean_r exp LL, in nats per photon.

    LL = Σ k log(w/Σw): the fluence is at its best for every orientation, so that neither the scale
    of the volume nor a program's fluences matter. ``pixels`` must lie within the volume.
    """
    counts = photons.dense(len(pixels))
    grid = so3.super_fibonacci(orientations)
    parts = []
    for start in range(0, orientations, _ROTATIONS_AT_ONCE):
        matrix = rotations.to_matrix(grid[start : start + _ROTATIONS_AT_ONCE])
        rate = slice_volume(volume.values, matrix, pixels.s, volume.spacing) * pixels.gain
        rate = rate.clamp_min(_FLOOR * float(rate.mean()))
        parts.append(counts @ (rate / rate.sum(1, keepdim=True)).log().T)
    loglik = torch.cat(parts, 1).double()
    evidence = torch.logsumexp(loglik, 1) - math.log(orientations)
    return float(evidence.sum() / counts.sum())


def first_reaching(values: list[float], done_s: list[float], target: float) -> float | None:
    """Return when the first value that reaches ``target`` was there, or None."""
    return next((when for value, when in zip(values, done_s, strict=True) if value >= target), None)
