"""Amplitudes on half of reciprocal space: F(s) = A(s) + iB(s), where A and B are Hermitian.

Every scatterer is a real density with a real strength (A) and, where it absorbs, a second one (B),
so that F(−s) = A(s)* + iB(s)* follows from the same numbers and only s_x ≥ 0 is ever transformed.
The half is cut into slabs of planes that shrink with the ball of wanted |s|: a few tens of
megabytes at a time, whatever the size of the volume.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numba
import numpy as np
from jaxtyping import Complex64, Float32, Float64

from xraisim.core.errors import SamplingError

_SLAB_POINTS = 3_000_000


@dataclass(frozen=True, kw_only=True)
class Slab:
    """Points s = ``spacing`` · (i, j, k) Å⁻¹: i = first … first + planes − 1, |j|, |k| ≤ reach."""

    first: int
    planes: int
    reach: int
    spacing: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Points along x, y and z."""
        return self.planes, 2 * self.reach + 1, 2 * self.reach + 1

    @property
    def axes(
        self,
    ) -> tuple[
        Float64[np.ndarray, "x 1 1"], Float64[np.ndarray, "1 y 1"], Float64[np.ndarray, "1 1 z"]
    ]:
        """s_x, s_y and s_z in Å⁻¹, shaped to broadcast to ``shape``."""
        x = self.spacing * np.arange(self.first, self.first + self.planes, dtype=np.float64)
        y = self.spacing * np.arange(-self.reach, self.reach + 1, dtype=np.float64)
        return x[:, None, None], y[None, :, None], y[None, None, :]

    def turned_axes(
        self, matrix: Float64[np.ndarray, "3 3"]
    ) -> tuple[Float64[np.ndarray, "x y z"], ...]:
        """Return the components of A s in Å⁻¹; ``matrix``: the rotation A."""
        x, y, z = self.axes
        return tuple(row[0] * x + row[1] * y + row[2] * z for row in matrix)

    @property
    def squared(self) -> Float32[np.ndarray, "x y z"]:
        """|s|² in Å⁻² at every point."""
        x, y, z = (axis.astype(np.float32) ** 2 for axis in self.axes)
        return x + y + z


#: A and B on a slab, electrons; B is None where nothing absorbs
Amplitude = Callable[
    [Slab], tuple[Complex64[np.ndarray, "x y z"], Complex64[np.ndarray, "x y z"] | None]
]


@runtime_checkable
class Scatterer(Protocol):
    """A particle around the origin: atoms, a homogeneous body, or atoms in water."""

    @property
    def diameter_angstrom(self) -> float:
        """Diameter of the ball around the origin that encloses the particle, Å."""

    @property
    def electrons(self) -> float:
        """F(0) without anomalous terms."""

    def amplitude(self, s_max: float, photon_energy_ev: float | None) -> Amplitude:
        """Return the function that gives A and B on a slab, for |s| up to ``s_max`` (Å⁻¹).

        f′ and f″ are taken at ``photon_energy_ev``; None leaves them out. Several threads call the
        function. Raises :class:`SamplingError` for ``s_max`` beyond the form-factor tables.
        """

    def turned(self, matrix: Float64[np.ndarray, "3 3"]) -> "Scatterer":
        """Return the particle turned by Aᵀ, which scatters F(A s); ``matrix``: the rotation A."""


def slabs(half_width: int, spacing: float, *, ball: bool) -> Iterator[Slab]:
    """Cut 0 ≤ i ≤ ``half_width`` into slabs; with ``ball`` only what holds |s| ≤ half_width."""
    first = 0
    while first <= half_width:
        reach = math.isqrt(half_width**2 - first**2) if ball else half_width
        planes = min(half_width + 1 - first, max(1, _SLAB_POINTS // (2 * reach + 1) ** 2))
        yield Slab(first=first, planes=planes, reach=reach, spacing=spacing)
        first += planes


def for_each_slab(work: Callable[[Slab], None], pieces: Iterator[Slab]) -> None:
    """Call ``work`` for every slab on as many threads as numba may use.

    A slab is computed by one thread, so nothing depends on their number.
    """
    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        for _ in pool.map(work, pieces):
            pass


def scattering_grid(
    scatterer: Scatterer, grid: int, spacing: float, photon_energy_ev: float | None
) -> Complex64[np.ndarray, "G G G"]:
    """Return F at s = (index − G//2)·``spacing`` Å⁻¹ of any particle, electrons.

    f′ and f″ are taken at ``photon_energy_ev``; None leaves them out. Raises
    :class:`SamplingError` for an even grid or corners beyond the form-factor tables.
    """
    s_corner = math.sqrt(3) * (grid // 2) * spacing
    return full_cube(scatterer.amplitude(s_corner, photon_energy_ev), grid, spacing)


def full_cube(half: Amplitude, grid: int, spacing: float) -> Complex64[np.ndarray, "G G G"]:
    """Return F at s = (index − G//2)·``spacing`` from its half.

    Raises :class:`SamplingError` unless ``grid`` is odd and at least 3.
    """
    if grid < 3 or grid % 2 == 0:
        raise SamplingError(f"a scattering grid needs an odd number of voxels ≥ 3, found {grid}")
    out, centre = np.empty((grid, grid, grid), np.complex64), grid // 2

    def fill(slab: Slab) -> None:
        A, B = half(slab)
        here = slice(centre + slab.first, centre + slab.first + slab.planes)
        there = slice(centre - slab.first - slab.planes + 1, centre - slab.first + 1)
        mirrored = A.conj() if B is None else A.conj() + 1j * B.conj()
        out[there] = mirrored[::-1, ::-1, ::-1]
        out[here] = A if B is None else A + 1j * B

    for_each_slab(fill, slabs(centre, spacing, ball=False))
    return out
