"""The simulator's intensity volume: |F|² as a quadratic B-spline on a grid as coarse as it may be.

A look-up with a quadratic B-spline multiplies the particle's autocorrelation A(x) by Π sinc³(x·ds)
and adds aliases. The first is undone beforehand: a short symmetric filter along each axis
approximates 1/sinc³ wherever A is not zero (|x| ≤ D). The aliases remain and fall as ds³. At
``VOXELS_PER_SPECKLE`` the expected photons are within 1 % rms of a direct sum over atoms in every
shell (docs/measurements/simulator_accuracy.md). A trilinear look-up needs more than twice the
voxels per edge for the same error, filtered likewise.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from xraisim.core.errors import SamplingError
from xraisim.scattering.friedel import Scatterer, Slab, for_each_slab, slabs
from xraisim.scattering.kernels.intensity import filter_rows, friedel_intensities

#: voxels per 1/D with D the particle's diameter; 2 would be the Nyquist sampling of |F|²
VOXELS_PER_SPECKLE = 3.0
_TAPS = 4  # on either side of the centre
_MARGIN_VOXELS = _TAPS + 3  # the look-up's neighbours, and the faces that the filter leaves out
_MAX_VOXELS = 640**3  # 1 GiB, and as much again for the slabs and the drawing
_SMALLEST_DIAMETER_ANGSTROM = 10.0


@dataclass(frozen=True, kw_only=True)
class IntensitySpline:
    """B-spline coefficients of |F(s)|² (electrons²), s = 0 at G // 2.

    ``spacing`` in Å⁻¹. The coefficients are not values of |F|² and may be negative; their spline is
    :func:`look_up`.
    """

    coefficients: Float32[np.ndarray, "G G G"]
    spacing: float
    s_max: float

    @property
    def grid(self) -> int:
        """Voxels per edge."""
        return self.coefficients.shape[0]


def look_up(volume: IntensitySpline, s: Float[np.ndarray, "P 3"]) -> Float64[np.ndarray, "P"]:
    """Return |F(s)|² in electrons² at ``s`` (Å⁻¹): the plain form of the draw's."""
    position = s / volume.spacing + volume.grid // 2
    middle = np.floor(position + 0.5).astype(int)
    t = position - middle
    weight = np.stack([0.5 * (0.5 - t) ** 2, 0.75 - t**2, 0.5 * (0.5 + t) ** 2], axis=-1)
    total = np.zeros(len(s))
    for step in np.ndindex(3, 3, 3):
        x, y, z = (middle + np.array(step) - 1).T
        product = weight[:, 0, step[0]] * weight[:, 1, step[1]] * weight[:, 2, step[2]]
        total += product * volume.coefficients[x, y, z]
    return np.maximum(total, 0.0)


def plan_grid(
    diameter_angstrom: float, s_max: float, voxels_per_speckle: float = VOXELS_PER_SPECKLE
) -> tuple[int, float]:
    """Return voxels per edge (odd) and spacing in Å⁻¹ for a particle and the largest |s| needed.

    Raises :class:`SamplingError` if the grid would not fit into a workstation's memory.
    """
    spacing = 1 / (voxels_per_speckle * max(diameter_angstrom, _SMALLEST_DIAMETER_ANGSTROM))
    grid = 2 * (math.ceil(s_max / spacing) + _MARGIN_VOXELS) + 1
    if grid**3 > _MAX_VOXELS:
        raise SamplingError(
            f"a particle of {diameter_angstrom:.0f} Å seen to s = {s_max:.4g} Å⁻¹ needs a grid of "
            f"{grid}³ voxels, and {round(_MAX_VOXELS ** (1 / 3))}³ is the most; keep a lower "
            "resolution (--resolution) or choose fewer chains"
        )
    return grid, spacing


def intensity_spline(
    scatterer: Scatterer,
    s_max: float,
    photon_energy_ev: float | None,
    *,
    voxels_per_speckle: float = VOXELS_PER_SPECKLE,
) -> IntensitySpline:
    """Return |F(s)|² for look-ups up to |s| = ``s_max`` (Å⁻¹).

    f′ and f″ are taken at ``photon_energy_ev``; None leaves them out. The peak of memory is the
    volume itself and a few slabs of amplitudes. Raises :class:`SamplingError` if the grid is too
    large or ``s_max`` beyond the form-factor tables.
    """
    grid, spacing = plan_grid(scatterer.diameter_angstrom, s_max, voxels_per_speckle)
    values = intensity_cube(scatterer, grid, spacing, photon_energy_ev)
    taps = sharpening_taps(voxels_per_speckle)
    for axes in ((1, 0, 2), (0, 1, 2), (0, 2, 1)):  # the middle one is filtered
        filter_rows(values.transpose(axes), taps)
    return IntensitySpline(coefficients=values, spacing=spacing, s_max=s_max)


def intensity_cube(
    scatterer: Scatterer, grid: int, spacing: float, photon_energy_ev: float | None
) -> Float32[np.ndarray, "G G G"]:
    """Return |F(s)|² at s = (index − G//2)·``spacing``, electrons².

    Made within the ball that the cube encloses; zero outside.
    """
    centre = grid // 2
    half = scatterer.amplitude(centre * spacing, photon_energy_ev)
    values = np.zeros((grid, grid, grid), np.float32)
    mirrored = values[::-1, ::-1, ::-1]

    def fill(slab: Slab) -> None:
        A, B = half(slab)
        square = slice(centre - slab.reach, centre + slab.reach + 1)
        planes = slice(centre + slab.first, centre + slab.first + slab.planes)
        place = (planes, square, square)
        B = np.zeros_like(A) if B is None else B
        friedel_intensities(A, B, values[place], mirrored[place], slab.first, centre)

    for_each_slab(fill, slabs(centre, spacing, ball=True))
    return values


def sharpening_taps(voxels_per_speckle: float) -> Float32[np.ndarray, "5"]:
    """Return a₀ … a₄ with a₀ + 2Σ aₘ cos 2πmu ≈ 1/sinc³(u) for u = x·ds ≤ 1/voxels.

    Least squares of the product with sinc³, weighted as the autocorrelation of a ball thins out,
    with the sum fixed at 1 so that constants stay as they are.
    """
    u = np.linspace(0, 1 / voxels_per_speckle, 400)
    weight = (1 - u * voxels_per_speckle) ** 2
    sinc3 = np.sinc(u) ** 3
    columns = [2 * (np.cos(2 * np.pi * m * u) - 1) * sinc3 * weight for m in range(1, _TAPS + 1)]
    outer = np.linalg.lstsq(np.stack(columns, 1), (1 - sinc3) * weight, rcond=None)[0]
    return np.concatenate([[1 - 2 * outer.sum()], outer]).astype(np.float32)
