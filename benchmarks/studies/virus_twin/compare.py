"""A reconstruction beside the homogeneous body that was simulated.

The truth is a formula, so it is evaluated on the reconstruction's own grid in the reconstruction's
frame, V_rec(s) = V_true(A s), and never interpolated.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from benchmarks.comparison import curve_within, resolution
from benchmarks.metrics.fsc_truth import NAME as FSC
from benchmarks.record import Curve
from xraisim.core import rotations
from xraisim.core.align import Alignment, align_density, align_intensity
from xraisim.core.fourier import coordinates, radius, reciprocal, to_structure_factors
from xraisim.core.fsc import Resolution, fsc
from xraisim.core.merge import intensity_grid
from xraisim.core.radial import mean_by_shell, shell_s, shell_sums
from xraisim.core.types import Volume
from xraisim.sample.shapes import Body

_REFERENCE_OVERSAMPLING = 12.0  # samples per 1/D of the volume that is only aligned with
_BINS_PER_SHELL = 5
ANGULAR = "icc_truth_angular"
_BAND = 1.5, 6.0  # in 1/D: where the frames are matched, beyond the central speckle


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How near a reconstruction is to the body: resolutions by rule, with their curves.

    Intensities of a body without atoms fall so steeply that within a shell they also differ with
    |s|, which a round particle shares; and between its rings there are next to no photons. So
    ``icc_truth_angular`` has the mean at each |s| removed, where ``icc_truth`` has the mean of each
    shell, and its shells are a speckle wide, 1/(2D). ``alignment``: the rotation A between the
    frames.
    """

    alignment: Alignment
    resolutions: tuple[Resolution, ...]
    curves: tuple[Curve, ...]


def structure_factors(
    body: Body, grid: int, spacing: float, turn: Float[Tensor, "4"] | None = None
) -> Complex[Tensor, "G G G"]:
    """Return the body's F(A s) in electrons, without f′ and f″; A from the quaternion ``turn``."""
    points = coordinates(grid, spacing).double()
    if turn is not None:
        points = points @ rotations.to_matrix(turn.double()).mT
    value = body.density(None).real * torch.from_numpy(
        body.transform(*points.numpy().transpose(3, 0, 1, 2))
    )
    return value.to(torch.complex64)


def align_with_body(
    volume: Volume, body: Body, s_range: tuple[float, float], seed: int = 0
) -> Alignment:
    """Find the rotation A between an intensity and a body, in 1.5/D … 6/D within ``s_range``."""
    s_low, s_high = (value / body.diameter_angstrom for value in _BAND)
    band = max(s_low, s_range[0] + volume.spacing), min(s_high, s_range[1] - volume.spacing)
    grid, spacing = intensity_grid(band[1], body.diameter_angstrom, _REFERENCE_OVERSAMPLING)
    values = structure_factors(body, grid, spacing).abs() ** 2
    reference = Volume(values=values, spacing=spacing, kind="intensity")
    return align_intensity(volume, reference, band, seed)


def angular(values: Float[Tensor, "G G G"]) -> Float[Tensor, "G G G"]:
    """Return a volume less its mean at each distance from the centre: zero if it is round."""
    r = radius(values.shape[0], 1.0)
    bins = (_BINS_PER_SHELL * r).round().long().reshape(-1)
    profile = mean_by_shell(bins, values.double().reshape(-1))
    filled = torch.nonzero(bins.bincount())[:, 0]
    mean = np.interp(r.numpy(), (filled / _BINS_PER_SHELL).numpy(), profile[filled].numpy())
    return values - torch.from_numpy(mean).to(values)


def angular_correlation(
    intensity: Volume, true: Float[Tensor, "G G G"], diameter_angstrom: float
) -> tuple[Float[Tensor, "shells"], Float[Tensor, "shells"]]:
    """Return |s| (Å⁻¹) and Σab/√(Σa²Σb²) of two intensities without their radial means.

    Shells are 1/(2D) wide. The centre voxel, and shells that the grid does not fill, are left out.
    """
    a, b = angular(intensity.values), angular(true)
    width = max(1, round(1 / (2 * diameter_angstrom * intensity.spacing)))
    s = shell_s(intensity.grid, intensity.spacing)[1:]
    whole = len(s) // width * width
    cross, first, second = (
        shell_sums(one)[1 : 1 + whole].reshape(-1, width).sum(1) for one in (a * b, a * a, b * b)
    )
    return s[:whole].reshape(-1, width).mean(1), cross / torch.sqrt(first * second)


def compare(
    intensity: Volume,
    density: Volume,
    body: Body,
    s_range: tuple[float, float],
    seed: int = 0,
) -> Comparison:
    """Compare intensity and density with the body, shell by shell within ``s_range`` (Å⁻¹)."""
    found = align_with_body(intensity, body, s_range, seed)
    exact = structure_factors(body, intensity.grid, intensity.spacing, found.quaternion).abs() ** 2
    s, icc = angular_correlation(intensity, exact, body.diameter_angstrom)
    grid, spacing = density.grid, reciprocal(density.grid, density.spacing)
    true = structure_factors(body, grid, spacing, found.quaternion)
    phased = to_structure_factors(density.values, density.spacing)
    placed = align_density(phased, true, spacing, s_range).structure_factors
    curves = (
        curve_within(ANGULAR, s, icc, s_range),
        curve_within("fsc_truth", shell_s(grid, spacing), fsc(placed, true), s_range),
    )
    return Comparison(
        alignment=found,
        resolutions=(resolution(curves[0], f"{ANGULAR}_0.5", 0.5), resolution(curves[1], FSC, 0.5)),
        curves=curves,
    )
