"""What the particle scatters: F(s) = Σ f_j(s) exp(2πi s·r_j) exp(−B_j s²/4), in electrons.

On a grid by non-uniform FFT, and as a direct sum over atoms, the reference that the grid is
measured against. Atoms are weighted by occupancy. With f″ the intensity |F|² is very slightly
different at s and −s; nothing here averages the two.
"""

import math
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import finufft
import numpy as np
from jaxtyping import Complex64, Complex128, Float, Int, UInt64

from xraisim.core.errors import SamplingError
from xraisim.scattering.form_factors import IT92_LIMIT_PER_ANGSTROM, RadialBasis, profile
from xraisim.scattering.friedel import Slab, full_cube
from xraisim.scattering.kernels.structure_factor import add_weighted, direct_sum

_ACCURACY = 2e-5  # of the non-uniform FFT, in float32
_CHUNK_ATOMS = 2_000_000


@runtime_checkable
class Atoms(Protocol):
    """N atoms around the origin; :class:`xraisim.sample.structure.Atoms` are some."""

    @property
    def positions(self) -> Float[np.ndarray, "N 3"]:
        """Places in Å."""

    @property
    def elements(self) -> Int[np.ndarray, "N"]:
        """Atomic numbers."""

    @property
    def occupancy(self) -> Float[np.ndarray, "N"]:
        """How much of each atom is there."""

    @property
    def b_iso(self) -> Float[np.ndarray, "N"]:
        """B factors in Å²."""

    def __len__(self) -> int: ...

    def at_rest(self) -> "Atoms":
        """Return the same atoms with all B factors zero."""


def structure_factor_grid(
    atoms: Atoms,
    grid: int,
    spacing: float,
    photon_energy_ev: float | None,
    *,
    b_factors: bool = True,
) -> Complex64[np.ndarray, "G G G"]:
    """Return F(s) at s = (index − G//2)·``spacing`` Å⁻¹, electrons.

    ``grid`` is odd. f′ and f″ are taken at ``photon_energy_ev``; None leaves them out.
    ``b_factors`` False sets all B to 0. Raises :class:`SamplingError` for an even grid or s beyond
    the tables.
    """
    check_range(spacing * (grid // 2))
    s_corner = math.sqrt(3) * (grid // 2) * spacing
    half = AtomicAmplitude(atoms if b_factors else atoms.at_rest(), s_corner, photon_energy_ev)
    return full_cube(half, grid, spacing)


class AtomicAmplitude:
    """A(s) and B(s) of atoms on a slab: one type-1 non-uniform FFT per radial function.

    The atoms' strengths are real (:class:`RadialBasis`), so every transform is
    Hermitian; the functions' real parts, f₀ + f′, add up to A and their imaginary parts, f″, to B.
    """

    def __init__(self, atoms: Atoms, s_max: float, photon_energy_ev: float | None) -> None:
        """``s_max`` in Å⁻¹: farther out the profiles stay as they are there."""
        if not 0 < s_max < math.inf:
            raise SamplingError(f"amplitudes up to s = {s_max} Å⁻¹; expected a positive number")
        self._atoms = atoms
        self._basis = RadialBasis(atoms.elements, atoms.b_iso, s_max, photon_energy_ev)
        self._kinds = np.unique(
            np.concatenate([np.unique(_kind(atoms, chunk)) for chunk in _chunks(len(atoms))])
        )
        elements, b_iso = self._kinds >> 32, self._kinds.astype(np.uint32).view(np.float32)
        self._strengths = self._basis.strengths(elements, b_iso.astype(np.float64))

    def __call__(
        self, slab: Slab
    ) -> tuple[Complex64[np.ndarray, "x y z"], Complex64[np.ndarray, "x y z"] | None]:
        """Return A and B on the slab; B is None without f″."""
        functions = self._basis.functions.astype(np.complex64)
        absorbs = bool(np.abs(functions.imag).max() > 0)
        A = np.zeros(slab.shape, np.complex64)
        B = np.zeros(slab.shape, np.complex64) if absorbs else None
        step = slab.spacing**2 / self._basis.s_max**2 * (functions.shape[1] - 1)
        for chunk in _chunks(len(self._atoms)):
            kind = np.searchsorted(self._kinds, _kind(self._atoms, chunk))
            strengths = self._strengths[:, kind] * self._atoms.occupancy[chunk]
            parts = transforms(self._atoms.positions[chunk], strengths, slab)
            for part, function in zip(parts, functions, strict=True):
                add_weighted(A, part, function.real.copy(), step, slab.first)
                if B is not None:
                    add_weighted(B, part, function.imag.copy(), step, slab.first)
        return A, B


def _chunks(atoms: int) -> Iterator[slice]:
    """Cut the atoms of a large assembly into what a transform may hold at a time."""
    for start in range(0, atoms, _CHUNK_ATOMS):
        yield slice(start, start + _CHUNK_ATOMS)


def _kind(atoms: Atoms, chunk: slice) -> UInt64[np.ndarray, "n"]:
    """Return one number for each pair of element and B factor (in float32)."""
    b_bits = np.ascontiguousarray(atoms.b_iso[chunk], np.float32).view(np.uint32)
    return (atoms.elements[chunk].astype(np.uint64) << np.uint64(32)) | b_bits


def transforms(
    positions: Float[np.ndarray, "N 3"], strengths: Float[np.ndarray, "K N"], slab: Slab
) -> Iterator[Complex64[np.ndarray, "x y z"]]:
    """Yield T(s) = Σ_j c_j exp(2πi s·r_j) on a slab for every row c of ``strengths``.

    ``positions`` in Å. The transform's modes surround 0, so the slab's middle plane is moved
    there by a phase. The yielded array is overwritten by the next.
    """
    options: dict[str, Any] = {"nthreads": 1, "upsampfac": 1.25, "showwarn": 0}
    plan = finufft.Plan(1, slab.shape, eps=_ACCURACY, isign=1, dtype="complex64", **options)
    turns = slab.spacing * positions
    plan.setpts(*(np.ascontiguousarray(2 * np.pi * x, np.float32) for x in turns.T))
    middle = slab.first + slab.planes // 2
    phase = np.exp(2j * np.pi * middle * turns[:, 0]).astype(np.complex64)
    out = np.empty(slab.shape, np.complex64)
    for row in strengths:
        yield plan.execute(phase * row.astype(np.float32), out=out)


def structure_factor_direct(
    atoms: Atoms,
    s: Float[np.ndarray, "P 3"],
    photon_energy_ev: float | None,
    *,
    b_factors: bool = True,
) -> Complex128[np.ndarray, "P"]:
    """Return F at ``s`` (Å⁻¹) as a plain sum over atoms, electrons.

    B factors are applied atom by atom, without the grid's radial functions.
    """
    s = np.ascontiguousarray(s, dtype=np.float64)
    radius = np.linalg.norm(s, axis=1)
    check_range(float(radius.max(initial=0.0)))
    b_iso = atoms.b_iso if b_factors else np.zeros(len(atoms))
    pairs, kind = np.unique(np.stack([atoms.elements, b_iso], 1), axis=0, return_inverse=True)
    order = np.argsort(kind.reshape(-1), kind="stable")
    total = np.zeros(len(s), np.complex128)
    for block in np.array_split(order, max(1, len(order) // 20_000)):
        used, local = np.unique(kind.reshape(-1)[block], return_inverse=True)
        profiles = np.array(
            [profile(int(pairs[u, 0]), float(pairs[u, 1]), radius, photon_energy_ev) for u in used]
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


def check_range(s: float) -> None:
    """Raise :class:`SamplingError` if ``s`` (Å⁻¹) is beyond the form-factor tables."""
    if s > IT92_LIMIT_PER_ANGSTROM:
        raise SamplingError(
            f"s = {s:.3g} Å⁻¹ is beyond the form-factor tables, which end at "
            f"{IT92_LIMIT_PER_ANGSTROM} Å⁻¹ (0.25 Å); lower the photon energy or the angle"
        )
