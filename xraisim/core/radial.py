"""Shells of |s|: which one a voxel or a pixel lies in, sums and means over them, and radial means.

A voxel's shell is its distance from the centre in voxels, rounded. The shells that a cube of G³
voxels holds whole are 0 … G//2; its corners lie in further ones.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xraisim.core.fourier import radius, require_odd
from xraisim.core.types import Volume


def shell_numbers(grid: int, device: str | torch.device = "cpu") -> Int[Tensor, "G G G"]:
    """Return each voxel's distance from the centre in voxels, rounded (int64)."""
    require_odd(grid)
    return radius(grid, 1.0, device).round().long()


def shell_s(grid: int, spacing: float) -> Float[Tensor, "shells"]:
    """Return |s| in Å⁻¹ of the shells 0 … G//2 (float64)."""
    return torch.arange(grid // 2 + 1, dtype=torch.float64) * spacing


def shells_between(s: Float[Tensor, "n"], edges: Float[Tensor, "m"]) -> Int[Tensor, "n"]:
    """Return the number of the shell that holds each |s|, 0 … m − 2, between ascending ``edges``.

    An edge belongs to the shell that it begins; what lies outside, to the first or the last shell.
    """
    return (torch.bucketize(s, edges, right=True) - 1).clamp(0, len(edges) - 2)


def sum_by_shell(
    shell: Int[Tensor, "n"], values: Float[Tensor, "n"], shells: int = 0
) -> Float[Tensor, "shells"]:
    """Return the sums of values over the points of each shell, in the values' dtype.

    At least ``shells`` of them, and as many as the highest number asks for. No gradient.
    """
    return torch.bincount(shell, values, minlength=shells)


def mean_by_shell(
    shell: Int[Tensor, "n"], values: Float[Tensor, "n"], shells: int = 0
) -> Float[Tensor, "shells"]:
    """Return the means of values over the points of each shell, NaN where there is none."""
    return sum_by_shell(shell, values, shells) / torch.bincount(shell, minlength=shells)


def shell_sums(
    values: Float[Tensor, "G G G"], mask: Bool[Tensor, "G G G"] | None = None
) -> Float[Tensor, "shells"]:
    """Return a cube's sums over the shells 0 … G//2 (float64), of voxels where ``mask`` is true."""
    shell, chosen = _whole_shells(values, mask)
    return sum_by_shell(shell, chosen, values.shape[0] // 2 + 1)


def shell_means(
    values: Float[Tensor, "G G G"], mask: Bool[Tensor, "G G G"] | None = None
) -> Float[Tensor, "shells"]:
    """Return a cube's means over the shells, as :func:`shell_sums`; NaN where no voxel is."""
    shell, chosen = _whole_shells(values, mask)
    return mean_by_shell(shell, chosen, values.shape[0] // 2 + 1)


def _whole_shells(values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the shells and values (float64) of the voxels in whole shells and ``mask``."""
    shell = shell_numbers(values.shape[0], values.device)
    inside = shell <= values.shape[0] // 2
    if mask is not None:
        inside = inside & mask
    return shell[inside], values[inside].double()


def interpolated(profile: Float[Tensor, "m"], place: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Return a profile between its points, ``place`` in steps from the first; constant beyond."""
    place = place.clamp(0, len(profile) - 1)
    lower = place.long().clamp_max(len(profile) - 2)
    return torch.lerp(profile[lower], profile[lower + 1], place - lower)


def mean_at(volume: Volume, s: Float[Tensor, "P"]) -> Float[Tensor, "P"]:
    """Return the volume's mean over the shell nearest to each |s| (Å⁻¹).

    Beyond its last whole shell it is the mean of that one.
    """
    shell = shell_numbers(volume.grid, volume.values.device)
    mean = mean_by_shell(shell.reshape(-1), volume.values.double().reshape(-1))
    return mean[(s / volume.spacing).round().long().clamp_max(volume.grid // 2)].to(s)


def radial_mean(
    numerator: Float[Tensor, "G G G"], weight: Float[Tensor, "G G G"]
) -> Float[Tensor, "G G G"]:
    """Return Σ numerator / Σ weight over each voxel's shell; empty shells take the lowest mean."""
    shell = shell_numbers(numerator.shape[0], numerator.device)
    top, bottom = (sum_by_shell(shell.reshape(-1), one.reshape(-1)) for one in (numerator, weight))
    profile = top / bottom.clamp_min(1e-30)
    lowest = profile[(bottom > 0) & (profile > 0)].min()
    return torch.where(bottom > 0, profile, lowest).clamp_min(lowest)[shell]


def smooth_radial_mean(
    photons: Float[Tensor, "G G G"], exposure: Float[Tensor, "G G G"]
) -> Float[Tensor, "G G G"]:
    """Return Σ photons / Σ exposure around each voxel's radius, smooth along it.

    Each voxel is shared between the two shells next to it, and the shells' logarithms are
    interpolated: a step from shell to shell would be no speckle. A shell without photons takes the
    value of the nearest one that has some.
    """
    distance = radius(photons.shape[0], 1.0, photons.device)
    shell = distance.long()
    outer = distance - shell
    both = torch.stack([shell, shell + 1]).reshape(-1)
    top, bottom = (
        sum_by_shell(both, torch.stack([(1 - outer) * one, outer * one]).reshape(-1))
        for one in (photons, exposure)
    )
    known = torch.nonzero((top > 0) & (bottom > 0))[:, 0]
    number = torch.arange(len(top), device=photons.device)
    nearest = known[(number[:, None] - known).abs().argmin(1)]
    logarithm = (top[nearest] / bottom[nearest]).log()
    return torch.exp(interpolated(logarithm, distance))
