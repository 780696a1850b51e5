"""Atoms of a particle: reading PDB and mmCIF files, chains, assemblies, centring."""

import dataclasses
import fnmatch
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import ConvexHull, QhullError

from xraisim.core.errors import StructureError, reads
from xraisim.sample import assembly as assemblies
from xraisim.sample.hydrogens import missing_hydrogens
from xraisim.sample.locate import locate
from xraisim.sample.structure_file import read_model
from xraisim.scattering.form_factors import profile
from xraisim.scattering.structure_factor import AtomicAmplitude, check_range

__all__ = ["Atoms", "locate", "read_atoms"]

_CENTRE_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Atoms:
    """Atoms of one particle, centred on the middle of the ball that encloses them.

    ``positions`` float64 [N, 3] Å; ``elements`` int16 [N], atomic numbers; ``occupancy``
    float32 [N]; ``b_iso`` float32 [N] Å².
    """

    positions: np.ndarray
    elements: np.ndarray
    occupancy: np.ndarray
    b_iso: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def diameter_angstrom(self) -> float:
        """Twice the largest distance of an atom from the centre, Å."""
        return 2 * float(np.sqrt((self.positions**2).sum(1).max()))

    @cached_property
    def point_electrons(self) -> np.ndarray:
        """Occupancy times f₀(0) of every atom, float64 [N]."""
        unique, inverse = np.unique(self.elements, return_inverse=True)
        at_zero = [profile(int(z), 0.0, np.zeros(1), None)[0].real for z in unique]
        return self.occupancy * np.array(at_zero)[inverse.reshape(-1)]

    @property
    def electrons(self) -> float:
        """F(0) without anomalous terms: the number of electrons as the form factors have it."""
        return float(self.point_electrons.sum())

    def amplitude(self, s_max: float, photon_energy_ev: float | None) -> AtomicAmplitude:
        """Return what the atoms scatter (:class:`xraisim.scattering.friedel.Scatterer`)."""
        check_range(s_max)
        return AtomicAmplitude(self, s_max, photon_energy_ev)

    def at_rest(self) -> "Atoms":
        """Return the same atoms with all B factors zero."""
        return dataclasses.replace(self, b_iso=np.zeros(len(self)))


@reads("structure", "fetch it again", StructureError)
def read_atoms(
    path: Path | str,
    *,
    chains: str = "*",
    assembly: str = "",
    model: int = 0,
    add_hydrogens: bool = False,
) -> Atoms:
    """Read one model of a PDB or mmCIF file (``.gz`` too).

    ``chains`` are shell patterns of author chain names, comma-separated (``"B*"``, ``"A,C?"``);
    ``assembly`` names a biological assembly, empty for the atoms as deposited. Alternate locations
    are all kept, weighted by their occupancy. ``model`` counts from 1 in the order of the file,
    0 is the first. ``add_hydrogens`` fills in those that the file leaves out
    (:mod:`xraisim.sample.hydrogens`). Raises :class:`StructureError`.
    """
    path = Path(path)
    structure, block = read_model(path, model)
    flat = gemmi.FlatStructure(structure)
    names = _names(np.asarray(flat.chain_ids))
    keep = _select(names, chains, path) & (flat.occ > 0)
    if not keep.any():
        raise StructureError(f"{path}: every selected atom has occupancy zero")
    index, positions = np.flatnonzero(keep).astype(np.int32), flat.pos[keep].astype(np.float64)
    outer = positions[_outermost(positions)]
    if assembly:
        if block is not None:
            parts, labels = (
                assemblies.from_mmcif(block, assembly),
                _names(np.asarray(flat.subchains))[keep],
            )
        else:
            parts, labels = assemblies.from_pdb(structure, assembly), names[keep]
        index, positions, outer = _assemble(index, positions, labels, parts, path)
    positions -= enclosing_centre(outer)
    atoms = _checked(flat, index, positions, path)
    return _with_hydrogens(atoms, missing_hydrogens(flat)[index]) if add_hydrogens else atoms


def _with_hydrogens(atoms: Atoms, number: np.ndarray) -> Atoms:
    """Return the atoms and, at each, ``number`` [N] hydrogens."""
    bearing = number > 0
    return Atoms(
        positions=np.concatenate([atoms.positions, atoms.positions[bearing]]),
        elements=np.concatenate([atoms.elements, np.ones(bearing.sum(), np.int16)]),
        occupancy=np.concatenate([atoms.occupancy, number[bearing].astype(np.float32)]),
        b_iso=np.concatenate([atoms.b_iso, atoms.b_iso[bearing]]),
    )


def _names(codes: np.ndarray) -> np.ndarray:
    """Decode gemmi's fixed-width character arrays to strings."""
    width = codes.shape[1]
    return np.ascontiguousarray(codes).view(f"S{width}")[:, 0].astype(str)


def _select(names: np.ndarray, patterns: str, path: Path) -> np.ndarray:
    present = list(dict.fromkeys(names.tolist()))
    wanted = [pattern.strip() for pattern in patterns.split(",")]
    chosen = [n for n in present if any(fnmatch.fnmatchcase(n, pattern) for pattern in wanted)]
    if not chosen:
        raise StructureError(
            f"{path}: no chain matches {patterns!r}; the file has chains {', '.join(present)}"
        )
    return np.isin(names, chosen)


def _assemble(
    index: np.ndarray, positions: np.ndarray, labels: np.ndarray, parts: list, path: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return source atom numbers and positions of all copies, and the positions that may be outer.

    Large capsids have tens of millions of copies: they are written in place, and the outermost are
    sought among the originals.
    """
    members = [np.flatnonzero(np.isin(labels, list(chains))) for chains, _ in parts]
    total = sum(
        len(member) * len(operators) for member, (_, operators) in zip(members, parts, strict=True)
    )
    if not total:
        raise StructureError(f"{path}: the assembly holds none of the selected chains")
    indices, placed = np.empty(total, np.int32), np.empty((total, 3))
    outer, end = [], 0
    for member, (_, operators) in zip(members, parts, strict=True):
        edge = _outermost(positions[member])
        for matrix, vector in operators if len(member) else []:
            here = slice(end, end := end + len(member))
            indices[here] = index[member]
            placed[here] = positions[member] @ matrix.T + vector
            outer.append(placed[here][edge])
    return indices, placed, np.concatenate(outer)


def _checked(
    flat: gemmi.FlatStructure, index: np.ndarray, positions: np.ndarray, path: Path
) -> Atoms:
    elements = flat.elements[index].astype(np.int16)
    b_iso, occupancy = flat.b_iso[index], flat.occ[index]
    if (elements == 0).any():
        site = int(np.argmax(elements == 0))
        raise StructureError(
            f"{path}: {int((elements == 0).sum())} atoms have an unknown element, the first is "
            f"serial {flat.serials[index[site]]}; give every atom a chemical element"
        )
    finite = all(np.isfinite(array).all() for array in (positions, b_iso, occupancy))
    if not finite:
        raise StructureError(f"{path}: coordinates, occupancies or B factors are not all numbers")
    return Atoms(
        positions=positions,
        elements=elements,
        occupancy=occupancy.astype(np.float32),
        b_iso=np.maximum(b_iso, 0.0, dtype=np.float32),
    )


def _outermost(positions: np.ndarray) -> np.ndarray:
    """Return the indices of the corners of the convex hull, the only ones that can be farthest."""
    try:
        return ConvexHull(positions).vertices
    except (QhullError, ValueError):  # fewer than four atoms, or all in one plane
        return np.arange(len(positions))


def enclosing_centre(positions: np.ndarray) -> np.ndarray:
    """Return the centre of the smallest enclosing ball of [N, 3] (Bădoiu & Clarkson 2003).

    Step k moves towards the farthest atom by 1/(k+1) of the way, and the radius ends within a
    fraction of order 1/k of the smallest.
    """
    outer = positions[_outermost(positions)]
    centre = (outer.max(0) + outer.min(0)) / 2
    for step in range(1, _CENTRE_STEPS + 1):
        far = outer[np.argmax(((outer - centre) ** 2).sum(1))]
        centre = centre + (far - centre) / (step + 1)
    return centre
