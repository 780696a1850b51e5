"""A particle in water: what it scatters beyond the water that it displaces.

F = F_atoms − ρ_w F_mask + δρ F_shell. The mask is the flat bulk solvent of crystallography (Jiang &
Brünger 1994): atoms are grown by a probe and the whole is shrunk again, which fills the crevices
that water cannot enter. A denser first hydration layer may be added (Svergun et al. 1995). Bulk
water is taken to fill space: the outside of the droplet that carries the particle in vacuum is not
part of the model, and scatters at angles below the particle's own.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import gemmi
import numpy as np
from jaxtyping import Bool, Complex64, Float32, Float64, Int, Int64

from xraisim.core.settings import Range, Settings
from xraisim.sample.kernels.solvent import mark_balls, shrink
from xraisim.sample.structure import Atoms
from xraisim.scattering.friedel import Amplitude, Slab
from xraisim.scattering.structure_factor import transforms

WATER_ELECTRONS_PER_ANGSTROM3 = 0.334
LARGEST_VOXEL_ANGSTROM = 0.7  # coarser masks change the volume with the spacing
_BLOCK_PLANES = 64
_CHUNK_VOXELS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Solvent(Settings, table="solvent"):
    """Water around a particle; lengths in Å, densities in electrons/Å³.

    Off unless ``enabled``. ``voxel_angstrom`` is the mask's grid, at most 0.7. The mask is what
    lies within a van der Waals radius plus ``probe_angstrom`` of an atom, less what lies within
    ``shrink_angstrom`` of its outside. ``shell_angstrom`` is the thickness of a hydration layer,
    measured from the van der Waals surface, and ``shell_contrast`` its density above bulk water's.
    Raises :class:`ConfigError`.
    """

    enabled: bool = False
    electrons_per_angstrom3: Annotated[float, Range(least=0, below=10)] = (
        WATER_ELECTRONS_PER_ANGSTROM3
    )
    voxel_angstrom: Annotated[float, Range(least=0.1, most=LARGEST_VOXEL_ANGSTROM)] = (
        LARGEST_VOXEL_ANGSTROM
    )
    probe_angstrom: Annotated[float, Range(least=0, below=10)] = 1.4
    shrink_angstrom: Annotated[float, Range(least=0, below=10)] = 1.1
    shell_angstrom: Annotated[float, Range(least=0, most=10)] = 0.0
    shell_contrast: Annotated[float, Range(least=-1, most=1)] = 0.03


@dataclass(frozen=True, kw_only=True)
class Hydrated:
    """Atoms in water: voxels of edge ``voxel_angstrom`` whose densities add to what atoms scatter.

    ``voxels``: centres in Å; ``contrast`` in electrons/Å³, negative where
    water is displaced; ``turn``: the rotation A if their edges lie along Aᵀx, Aᵀy and Aᵀz. Made by
    :func:`hydrate`.
    """

    atoms: Atoms
    voxels: Float32[np.ndarray, "M 3"]
    contrast: Float32[np.ndarray, "M"]
    voxel_angstrom: float
    turn: Float64[np.ndarray, "3 3"] | None = None

    @cached_property
    def diameter_angstrom(self) -> float:
        """Twice the largest distance of an atom or of a voxel's far corner from the centre, Å."""
        reach = np.linalg.norm(self.voxels, axis=1).max(initial=0.0)
        corner = math.sqrt(3) / 2 * self.voxel_angstrom
        return max(self.atoms.diameter_angstrom, 2 * (float(reach) + corner))

    @property
    def electrons(self) -> float:
        """F(0) without anomalous terms: the excess over bulk water."""
        excess = self.contrast.sum(dtype=np.float64) * self.voxel_angstrom**3
        return self.atoms.electrons + float(excess)

    def amplitude(self, s_max: float, photon_energy_ev: float | None) -> Amplitude:
        """Return what the particle scatters in water (:class:`Scatterer`)."""
        atomic = self.atoms.amplitude(s_max, photon_energy_ev)

        def on_slab(
            slab: Slab,
        ) -> tuple[Complex64[np.ndarray, "x y z"], Complex64[np.ndarray, "x y z"] | None]:
            A, B = atomic(slab)
            A += self.voxel_transform(slab)
            return A, B

        return on_slab

    def turned(self, matrix: Float64[np.ndarray, "3 3"]) -> "Hydrated":
        """Return atoms and water turned by Aᵀ, which scatter F(A s); ``matrix``: A."""
        return dataclasses.replace(
            self,
            atoms=self.atoms.turned(matrix),
            voxels=self.voxels @ matrix.astype(np.float32),
            turn=matrix if self.turn is None else self.turn @ matrix,
        )

    def voxel_transform(self, slab: Slab) -> Complex64[np.ndarray, "x y z"]:
        """Return the voxels' F(s) on a slab, electrons; each a cube, not a point."""
        total = np.zeros(slab.shape, np.complex64)
        for start in range(0, len(self.voxels), _CHUNK_VOXELS):
            chunk = slice(start, start + _CHUNK_VOXELS)
            (part,) = transforms(self.voxels[chunk], self.contrast[None, chunk], slab)
            total += part
        for axis in slab.axes if self.turn is None else slab.turned_axes(self.turn):
            cube = self.voxel_angstrom * np.sinc(self.voxel_angstrom * axis)
            total *= cube.astype(np.float32)
        return total


def hydrate(atoms: Atoms, solvent: Solvent) -> Hydrated:
    """Return ``atoms`` in water. The mask is made in blocks of planes, so its memory is bounded."""
    edge = solvent.voxel_angstrom
    reach = max(solvent.probe_angstrom, solvent.shell_angstrom)
    margin = float(vdw_radii_angstrom(atoms.elements).max()) + reach + solvent.shrink_angstrom
    margin += 2 * edge  # a block's halo is up to 1.5 voxels wider than the shrinking
    low = np.floor((atoms.positions.min(0) - margin) / edge).astype(int) - 1
    high = np.ceil((atoms.positions.max(0) + margin) / edge).astype(int) + 1
    voxels, contrast = [], []
    for first in range(low[0], high[0] + 1, _BLOCK_PLANES):
        last = min(first + _BLOCK_PLANES - 1, int(high[0]))
        corner, shape = (first, *low[1:]), (last - first + 1, *(high - low + 1)[1:].tolist())
        place = atoms.positions[:, 0] / edge
        near = (place > first - margin / edge) & (place < last + margin / edge)
        for occupied, density in _regions(atoms, near, solvent, np.array(corner), shape):
            centres = (np.argwhere(occupied) + corner) * edge
            voxels.append(centres.astype(np.float32))
            contrast.append(np.full(len(centres), density, np.float32))
    return Hydrated(
        atoms=atoms,
        voxels=np.concatenate(voxels),
        contrast=np.concatenate(contrast),
        voxel_angstrom=edge,
    )


def _regions(
    atoms: Atoms,
    near: Bool[np.ndarray, "N"],
    solvent: Solvent,
    corner: Int64[np.ndarray, "3"],
    shape: tuple[int, ...],
) -> Iterator[tuple[Bool[np.ndarray, "x y z"], float]]:
    """Yield the mask and the hydration layer in a block of ``shape``, and their contrasts."""
    edge = solvent.voxel_angstrom
    # The outside begins about halfway between the last voxel inside and the first one outside.
    shrinkage = solvent.shrink_angstrom / edge + 0.5
    halo = math.ceil(shrinkage)  # planes beyond the block from which it is shrunk
    block = np.zeros((shape[0] + 2 * halo, *shape[1:]), np.bool_)
    inner = slice(halo, halo + shape[0])
    centres = atoms.positions[near] / edge - corner + [halo, 0, 0]
    radii = vdw_radii_angstrom(atoms.elements[near])
    mark_balls(block, centres, (radii + solvent.probe_angstrom) / edge)
    mask = shrink(block, shrinkage)
    yield mask[inner], -solvent.electrons_per_angstrom3
    if solvent.shell_angstrom:
        block[:] = False
        mark_balls(block, centres, (radii + solvent.shell_angstrom) / edge)
        yield (block & ~mask)[inner], solvent.shell_contrast


def vdw_radii_angstrom(elements: Int[np.ndarray, "N"]) -> Float64[np.ndarray, "N"]:
    """Return the van der Waals radius of every atom, Å (gemmi's table)."""
    unique, inverse = np.unique(elements, return_inverse=True)
    radii = np.array([gemmi.Element(int(z)).vdw_r for z in unique])
    return radii[inverse.reshape(-1)]
