"""Homogeneous particles: the Fourier transforms of a sphere, a cube and two other Platonic solids.

F(s) = n ∫ exp(2πi s·r) d³r over the body, n the electron density. Sphere: 3(sin x − x cos x)/x³ of
its volume with x = πDs (Rayleigh 1911); cube: Π sinc; polyhedra: ``kernels.shapes``.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from jaxtyping import Complex64, Float, Float64
from scipy.spatial import ConvexHull

from xraisim.core.errors import ConfigError
from xraisim.core.settings import NotNegative, OneOf, Settings
from xraisim.sample.kernels.shapes import polyhedron
from xraisim.sample.materials import MATERIALS, Material
from xraisim.scattering.friedel import Amplitude

SHAPES = ("sphere", "cube", "octahedron", "icosahedron")
_GOLDEN = (1 + math.sqrt(5)) / 2


@dataclass(frozen=True, kw_only=True)
class Body(Settings):
    """A homogeneous body around the origin.

    ``size_angstrom`` is the diameter of a sphere and the edge of the others. A cube's edges lie
    along x, y and z; an octahedron's corners lie on the axes; an icosahedron's are the cyclic
    permutations of (0, ±1, ±φ) times half an edge. ``material`` names one of ``MATERIALS``, or
    ``electrons_per_angstrom3`` gives the density (then without f′ and f″). Raises
    :class:`ConfigError`.
    """

    shape: Annotated[str, OneOf(*SHAPES)]
    size_angstrom: NotNegative
    material: str = ""
    electrons_per_angstrom3: NotNegative = 0.0

    def check(self) -> None:
        """Refuse a body without a size or a density, with two, or of an unknown material."""
        if self.size_angstrom == 0:
            raise ConfigError(f"a {self.shape} needs a size; found none")
        if bool(self.material) == bool(self.electrons_per_angstrom3):
            raise ConfigError(
                f"a {self.shape} needs either a material or electrons_per_angstrom3; found "
                f"{self.material!r} and {self.electrons_per_angstrom3:g}"
            )
        if self.material and self.material not in MATERIALS:
            raise ConfigError(
                f"material is {self.material!r}; expected one of {', '.join(MATERIALS)}, or give "
                "electrons_per_angstrom3"
            )

    def density(self, photon_energy_ev: float | None) -> complex:
        """Return the electron density with f′ and f″ at the photon energy, electrons/Å³."""
        if not self.material:
            return complex(self.electrons_per_angstrom3)
        material: Material = MATERIALS[self.material]
        return material.electrons_per_angstrom3(photon_energy_ev)

    @cached_property
    def corners(self) -> Float64[np.ndarray, "C 3"]:
        """Corners in Å; none for a sphere."""
        half = self.size_angstrom / 2
        if self.shape == "cube":
            return half * np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
        if self.shape == "octahedron":
            return half * math.sqrt(2) * np.concatenate([np.eye(3), -np.eye(3)])
        if self.shape == "icosahedron":
            signs = np.array(list(itertools.product((-1.0, 1.0), repeat=2)))
            third = np.column_stack([np.zeros(4), signs * [1, _GOLDEN]])
            return half * np.concatenate([np.roll(third, k, axis=1) for k in range(3)])
        return np.empty((0, 3))

    @property
    def diameter_angstrom(self) -> float:
        """Diameter of the circumscribed sphere, Å."""
        if self.shape == "sphere":
            return self.size_angstrom
        return 2 * float(np.linalg.norm(self.corners, axis=1).max())

    @property
    def volume_angstrom3(self) -> float:
        """Volume in Å³."""
        if self.shape == "sphere":
            return math.pi / 6 * self.size_angstrom**3
        return float(ConvexHull(self.corners).volume)

    @property
    def electrons(self) -> float:
        """F(0) without anomalous terms."""
        return self.density(None).real * self.volume_angstrom3

    def transform(
        self,
        x: Float[np.ndarray, "*#shape"],
        y: Float[np.ndarray, "*#shape"],
        z: Float[np.ndarray, "*#shape"],
    ) -> Float64[np.ndarray, "*shape"]:
        """Return ∫ exp(2πi s·r) d³r over the body, Å³; real, since r and −r are alike.

        ``x``, ``y``, ``z`` are components of s in Å⁻¹.
        """
        if self.shape == "sphere":
            return self.volume_angstrom3 * _ball(
                np.pi * self.size_angstrom * np.sqrt(x**2 + y**2 + z**2)
            )
        if self.shape == "cube":
            edge = self.size_angstrom
            return edge**3 * np.sinc(edge * x) * np.sinc(edge * y) * np.sinc(edge * z)
        return polyhedron_transform(self.corners, x, y, z)

    def amplitude(self, s_max: float, photon_energy_ev: float | None) -> Amplitude:
        """Return what the body scatters (:class:`xraisim.scattering.friedel.Scatterer`)."""
        density = self.density(photon_energy_ev)
        return lambda slab: _amplitudes(density, self.transform(*slab.axes))

    def turned(self, matrix: Float64[np.ndarray, "3 3"]) -> "TurnedBody":
        """Return the body turned by Aᵀ, which scatters F(A s); ``matrix``: A."""
        return TurnedBody(body=self, matrix=matrix)


@dataclass(frozen=True, kw_only=True)
class TurnedBody:
    """A body turned by Aᵀ: F(A s) of ``body``; ``matrix``: A."""

    body: Body
    matrix: Float64[np.ndarray, "3 3"]

    @property
    def diameter_angstrom(self) -> float:
        """Diameter of the circumscribed sphere, Å."""
        return self.body.diameter_angstrom

    @property
    def electrons(self) -> float:
        """F(0) without anomalous terms."""
        return self.body.electrons

    def amplitude(self, s_max: float, photon_energy_ev: float | None) -> Amplitude:
        """Return what the body scatters (:class:`xraisim.scattering.friedel.Scatterer`)."""
        density, transform = self.body.density(photon_energy_ev), self.body.transform
        return lambda slab: _amplitudes(density, transform(*slab.turned_axes(self.matrix)))

    def turned(self, matrix: Float64[np.ndarray, "3 3"]) -> "TurnedBody":
        """Return the body turned once more."""
        return TurnedBody(body=self.body, matrix=self.matrix @ matrix)


def _amplitudes(
    density: complex, transform: Float64[np.ndarray, "x y z"]
) -> tuple[Complex64[np.ndarray, "x y z"], Complex64[np.ndarray, "x y z"] | None]:
    """Return A and B of a homogeneous body from its real transform in Å³."""
    value = transform.astype(np.float32)
    B = (density.imag * value).astype(np.complex64) if density.imag else None
    return (density.real * value).astype(np.complex64), B


def polyhedron_transform(
    corners: Float64[np.ndarray, "C 3"],
    x: Float[np.ndarray, "*#shape"],
    y: Float[np.ndarray, "*#shape"],
    z: Float[np.ndarray, "*#shape"],
) -> Float64[np.ndarray, "*shape"]:
    """Return Re ∫ exp(2πi s·r) d³r over a convex polyhedron around the origin, Å³.

    ``corners`` in Å; ``x``, ``y``, ``z`` in Å⁻¹.
    """
    hull = ConvexHull(corners)
    triangles = corners[hull.simplices]
    volumes = np.abs(np.linalg.det(triangles)) / 6
    shape = np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(z))
    axes = (np.broadcast_to(np.asarray(axis, np.float64), shape) for axis in (x, y, z))
    flat = (1,) * max(0, 3 - len(shape)) + shape
    out = np.empty(flat)
    faces = hull.simplices.astype(np.int64)
    polyhedron(*(axis.reshape(flat) for axis in axes), corners, faces, volumes, out)
    return out.reshape(shape)


def _ball(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return 3(sin x − x cos x)/x³, by its series below 0.3 (the next term is under 1e-12)."""
    small = x < 0.3
    near = np.where(small, x, 0.0) ** 2
    far = np.where(small, 1.0, x)
    series = 1 - near / 10 * (1 - near / 28 * (1 - near / 54 * (1 - near / 88)))
    return np.where(small, series, 3 * (np.sin(far) - far * np.cos(far)) / far**3)
