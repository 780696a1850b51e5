"""What the particle scatters: F(s) = Σ f_j(s) exp(2πi s·r_j) exp(−B_j s²/4), in electrons.

On a grid by non-uniform FFT, and as a direct sum over atoms, the reference that the grid is
measured against. Atoms are weighted by occupancy. With f″ the intensity |F|² is very slightly
different at s and −s; nothing here averages the two.
"""

import math
from typing import Any

import finufft
import numpy as np

from xraisim.core.errors import SamplingError
from xraisim.form_factors import IT92_LIMIT_PER_ANGSTROM, RadialBasis, profile
from xraisim.scattering_kernels import add_weighted, direct_sum
from xraisim.structure import Atoms

_ACCURACY = 2e-5  # of the non-uniform FFT, in float32


def structure_factor_grid(
    atoms: Atoms,
    grid: int,
    spacing: float,
    photon_energy_ev: float | None,
    *,
    b_factors: bool = True,
) -> np.ndarray:
    """Return F(s) at s = (index − G//2)·``spacing`` Å⁻¹, complex64 [G, G, G], electrons.

    ``grid`` is odd. f′ and f″ are taken at ``photon_energy_ev``; None leaves them out.
    ``b_factors`` False sets all B to 0. One type-1 non-uniform FFT per radial function
    (:class:`xraisim.form_factors.RadialBasis`); single-threaded, so that the result does not depend
    on the number of threads. Raises :class:`SamplingError` for an even grid or s beyond the tables.
    """
    if grid < 3 or grid % 2 == 0:
        raise SamplingError(f"a scattering grid needs an odd number of voxels ≥ 3, found {grid}")
    s_corner = math.sqrt(3) * (grid // 2) * spacing
    _check_range(spacing * (grid // 2))
    b_iso = atoms.b_iso if b_factors else np.zeros(len(atoms))
    basis = RadialBasis(atoms.elements, b_iso, s_corner, photon_energy_ev)
    strengths = (basis.strengths(atoms.elements, b_iso) * atoms.occupancy).astype(np.complex64)
    angles = [np.ascontiguousarray(2 * np.pi * spacing * x, np.float32) for x in atoms.positions.T]
    out = np.zeros((grid, grid, grid), np.complex64)
    step = spacing**2 / basis.s_max**2 * (basis.functions.shape[1] - 1)
    for strength, function in zip(strengths, basis.functions, strict=True):
        add_weighted(out, _transform(angles, strength, grid), function.astype(np.complex64), step)
    return out


def _transform(angles: list[np.ndarray], strength: np.ndarray, grid: int) -> np.ndarray:
    options: dict[str, Any] = {"nthreads": 1, "upsampfac": 1.25, "showwarn": 0}
    strength = np.ascontiguousarray(strength)
    shape = (grid, grid, grid)
    return finufft.nufft3d1(*angles, strength, shape, eps=_ACCURACY, isign=1, **options)


def structure_factor_direct(
    atoms: Atoms, s: np.ndarray, photon_energy_ev: float | None, *, b_factors: bool = True
) -> np.ndarray:
    """Return F at ``s`` [P, 3] (Å⁻¹) as a plain sum over atoms, complex128 [P], electrons.

    B factors are applied atom by atom, without the grid's radial functions.
    """
    s = np.ascontiguousarray(s, dtype=np.float64)
    radius = np.linalg.norm(s, axis=1)
    _check_range(float(radius.max(initial=0.0)))
    b_iso = atoms.b_iso if b_factors else np.zeros(len(atoms))
    pairs, kind = np.unique(np.stack([atoms.elements, b_iso], 1), axis=0, return_inverse=True)
    order = np.argsort(kind.reshape(-1), kind="stable")
    total = np.zeros(len(s), np.complex128)
    for block in np.array_split(order, max(1, len(order) // 20_000)):
        used, local = np.unique(kind.reshape(-1)[block], return_inverse=True)
        profiles = np.array(
            [profile(int(pairs[u, 0]), pairs[u, 1], radius, photon_energy_ev) for u in used]
        )
        # Occupancies differ within a kind, so a fractional atom gets a profile of its own.
        positions, weight = atoms.positions[block], atoms.occupancy[block]
        whole = weight == 1.0
        total += direct_sum(s, positions[whole], local.reshape(-1)[whole], profiles)
        partial = np.flatnonzero(~whole)
        if len(partial):
            scaled = profiles[local.reshape(-1)[partial]] * weight[partial, None]
            total += direct_sum(s, positions[partial], np.arange(len(partial)), scaled)
    return total


def electrons(atoms: Atoms) -> float:
    """Return F(0) without anomalous terms: the number of electrons as the form factors have it."""
    zero = np.zeros((1, 3))
    return float(structure_factor_direct(atoms, zero, None)[0].real)


def radius_of_gyration_angstrom(atoms: Atoms) -> float:
    """Return the radius of gyration of the electrons, each atom a point of f(0) electrons, Å."""
    weight = atoms.occupancy * np.array(_f_zero(atoms.elements))
    centre = np.average(atoms.positions, axis=0, weights=weight)
    squared = ((atoms.positions - centre) ** 2).sum(1)
    return float(np.sqrt(np.average(squared, weights=weight)))


def _f_zero(elements: np.ndarray) -> np.ndarray:
    unique, inverse = np.unique(elements, return_inverse=True)
    values = [profile(int(z), 0.0, np.zeros(1), None)[0].real for z in unique]
    return np.array(values)[inverse]


def _check_range(s: float) -> None:
    if s > IT92_LIMIT_PER_ANGSTROM:
        raise SamplingError(
            f"s = {s:.3g} Å⁻¹ is beyond the form-factor tables, which end at "
            f"{IT92_LIMIT_PER_ANGSTROM} Å⁻¹ (0.25 Å); lower the photon energy or the angle"
        )
