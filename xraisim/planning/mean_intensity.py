"""The orientational mean of |F(s)|² for planning: slices through F at a few dozen orientations.

A plane through the origin of Fourier space is the transform of the projected atoms, so each slice
is a two-dimensional non-uniform FFT, evaluated on rings. No volume is made, and nothing is drawn:
seconds and megabytes where the simulation itself needs a minute and gigabytes.
"""

import math
from dataclasses import dataclass
from typing import Any

import finufft
import numpy as np
import torch
from jaxtyping import Complex64, Float, Float64
from scipy.interpolate import PchipInterpolator

from xraisim.core import so3
from xraisim.core.errors import SamplingError
from xraisim.core.radial import shell_means
from xraisim.sample.structure import Atoms
from xraisim.scattering.form_factors import RadialBasis
from xraisim.scattering.friedel import Scatterer
from xraisim.scattering.intensity import intensity_cube, plan_grid

_ACCURACY = 1e-4  # of the non-uniform FFT, relative, in float32
_SLICES = 48
_AZIMUTHS = 128  # on half a ring: the other half is its Friedel mate
_VOXELS_PER_SPECKLE = 2.0
_RINGS_PER_SPECKLE = 6  # per 1/D; the mean has no detail finer than 1/(2D)


@dataclass(frozen=True, kw_only=True)
class RadialIntensity:
    """⟨|F(s)|²⟩ over orientations, electrons², at equal steps of |s| (Å⁻¹)."""

    s: Float64[np.ndarray, "n"]
    intensity: Float64[np.ndarray, "n"]

    def at(self, radius: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
        """Return the mean intensity at ``radius`` (Å⁻¹), electrons²; never negative.

        Raises :class:`SamplingError` beyond the last ring.
        """
        if np.max(radius, initial=0.0) > self.s[-1]:
            raise SamplingError(
                f"the mean intensity is known to s = {self.s[-1]:.5g} Å⁻¹, asked for "
                f"{np.max(radius):.5g} Å⁻¹; make it for the detector's largest s"
            )
        return PchipInterpolator(self.s, self.intensity)(radius)


def radial_intensity(
    particle: Scatterer, s_max: float, photon_energy_ev: float | None
) -> RadialIntensity:
    """Return the orientational mean of |F|² from s = 0 to ``s_max`` (Å⁻¹).

    Of atoms by slices, of anything else by the shells of a coarse volume. None for
    ``photon_energy_ev`` leaves f′ and f″ out.
    """
    if isinstance(particle, Atoms):
        return _of_slices(particle, s_max, photon_energy_ev)
    return _of_shells(particle, s_max, photon_energy_ev)


def _of_shells(
    particle: Scatterer, s_max: float, photon_energy_ev: float | None
) -> RadialIntensity:
    """Return the mean of |F|² over the voxels of each shell, two voxels per 1/D."""
    grid, spacing = plan_grid(particle.diameter_angstrom, s_max, _VOXELS_PER_SPECKLE)
    values = intensity_cube(particle, grid, spacing, photon_energy_ev)
    squared = (np.arange(grid) - grid // 2) ** 2
    radius = np.sqrt(squared[:, None, None] + squared[:, None] + squared)
    s, intensity = (shell_means(torch.from_numpy(x)).numpy()[:-1] for x in (radius, values))
    return RadialIntensity(s=s * spacing, intensity=intensity)


def _of_slices(atoms: Atoms, s_max: float, photon_energy_ev: float | None) -> RadialIntensity:
    """Return the mean over slices through F.

    48 near-uniform slices of 128 points per half ring: about 2 % of statistical error per ring
    where there are many speckles, and 1 % in the photons of a whole pattern. f″ makes |F|² differ
    very slightly between Friedel mates; half rings of many slices average that out.
    """
    rings = math.ceil(s_max * _RINGS_PER_SPECKLE * max(atoms.diameter_angstrom, 10.0)) + 4
    radius = np.linspace(0, s_max, rings)
    basis = RadialBasis(atoms.elements, atoms.b_iso, s_max, photon_energy_ev)
    strengths = (basis.strengths(atoms.elements, atoms.b_iso) * atoms.occupancy).astype(
        "c8", order="C"
    )
    functions = np.array([np.interp(radius**2, basis.s**2, f) for f in basis.functions])
    total = np.zeros(rings)
    half_sphere = so3.spiral(2 * _SLICES)[:_SLICES].numpy()
    for normal in half_sphere:
        rings_F = _slice(atoms.positions @ _plane(normal), strengths, radius)
        total += (np.abs(np.einsum("br,bra->ra", functions, rings_F)) ** 2).mean(1)
    return RadialIntensity(s=radius, intensity=total / _SLICES)


def _plane(normal: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 2"]:
    """Return two orthonormal vectors perpendicular to ``normal``."""
    first = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first)], axis=1)


def _slice(
    plane: Float[np.ndarray, "N 2"],
    strengths: Complex64[np.ndarray, "rank N"],
    radius: Float64[np.ndarray, "rings"],
) -> Complex64[np.ndarray, "rank rings angles"]:
    """Return every radial function's transform on half rings.

    ``plane`` holds the projected atoms in Å.
    """
    angle = np.pi * np.arange(_AZIMUTHS) / _AZIMUTHS
    points = [np.outer(radius, f(angle)).astype(np.float32).reshape(-1) for f in (np.cos, np.sin)]
    x, y = (np.ascontiguousarray(2 * np.pi * axis, np.float32) for axis in plane.T)
    options: dict[str, Any] = {"nthreads": 1, "upsampfac": 1.25, "showwarn": 0}
    found = finufft.nufft2d3(x, y, strengths, *points, eps=_ACCURACY, isign=1, **options)
    return found.reshape(len(strengths), len(radius), _AZIMUTHS)
