"""Atoms of a particle: reading PDB and mmCIF files, chains, assemblies, centring."""

import dataclasses
import fnmatch
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int32, Shaped
from scipy.spatial import ConvexHull, QhullError

from xraisim.core.errors import StructureError, reads
from xraisim.sample import assembly as assemblies
from xraisim.sample import confidence, models
from xraisim.sample.assembly import Part
from xraisim.sample.elements import atomic_numbers
from xraisim.sample.hydrogens import missing_hydrogens
from xraisim.sample.locate import locate
from xraisim.sample.notices import look_over, notice
from xraisim.sample.residues import names
from xraisim.sample.structure_file import StructureFile, read_structure
from xraisim.scattering.form_factors import profile
from xraisim.scattering.structure_factor import AtomicAmplitude, check_range

__all__ = ["Atoms", "locate", "read_atoms"]

_CENTRE_STEPS = 1000
_FARTHEST_ANGSTROM = 1e5  # whole cells are smaller


@dataclass(frozen=True, kw_only=True)
class Atoms:
    """Atoms of one particle, centred on the middle of the ball that encloses them.

    ``positions`` in Å, ``elements``: atomic numbers, ``b_iso`` in Å²; of a file float64, int16 and
    float32, for there may be tens of millions.
    """

    positions: Float[np.ndarray, "N 3"]
    elements: Int[np.ndarray, "N"]
    occupancy: Float[np.ndarray, "N"]
    b_iso: Float[np.ndarray, "N"]

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def diameter_angstrom(self) -> float:
        """Twice the largest distance of an atom from the centre, Å."""
        return 2 * float(np.sqrt((self.positions**2).sum(1).max()))

    @cached_property
    def point_electrons(self) -> Float64[np.ndarray, "N"]:
        """Occupancy times f₀(0) of every atom."""
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

    def turned(self, matrix: Float64[np.ndarray, "3 3"]) -> "Atoms":
        """Return the atoms turned by Aᵀ, whose F(s) is F(A s) of these; ``matrix``: A."""
        return dataclasses.replace(self, positions=self.positions @ matrix)

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
    b_factors: bool = True,
    add_hydrogens: bool = False,
) -> Atoms:
    """Read a particle from a PDB or mmCIF file (``.gz`` too).

    ``chains`` are shell patterns of author chain names, comma-separated (``"B*"``, ``"A,C?"``);
    ``assembly`` names a biological assembly, empty for the atoms as deposited. Alternate locations
    are all kept, weighted by their occupancy. ``model`` counts from 1 in the order of the file; 0
    is the first, or all models of a file of copies (:mod:`xraisim.sample.models`). ``b_factors``
    False takes all B for 0. ``add_hydrogens`` fills in those that the file leaves out
    (:mod:`xraisim.sample.hydrogens`). What is left out or odd is said as a :class:`UserWarning`.
    Raises :class:`StructureError`.
    """
    path = Path(path)
    file = read_structure(path, model)
    flat = _flat(file.structure, path)
    keep = _select(names(flat.chain_ids), chains, path)
    _check_numbers(flat, keep, path)
    keep &= models.particle(flat, path, copies=not assembly)
    keep &= _occupied(flat, keep, path)
    elements = atomic_numbers(flat, keep, path)
    index, positions = np.flatnonzero(keep).astype(np.int32), flat.pos[keep].astype(np.float64)
    outer = positions[_outermost(positions)]
    look_over(flat, keep, outer, path)
    if assembly:
        parts, labels = _parts(file, flat, assembly)
        index, positions, outer = _assemble(index, positions, labels[keep], parts, path)
    positions -= enclosing_centre(outer)  # in place: capsids have tens of millions of atoms
    b_iso = confidence.b_factors(file, flat, path) if b_factors else np.zeros(len(keep))
    atoms = Atoms(
        positions=positions,
        elements=elements[index],
        occupancy=flat.occ[index].astype(np.float32),
        b_iso=np.maximum(b_iso[index], 0.0, dtype=np.float32),
    )
    if not add_hydrogens:
        return atoms
    return _with_hydrogens(atoms, missing_hydrogens(flat, elements)[index])


def _with_hydrogens(atoms: Atoms, number: Float[np.ndarray, "N"]) -> Atoms:
    """Return the atoms and, at each, ``number`` hydrogens."""
    bearing = number > 0
    return Atoms(
        positions=np.concatenate([atoms.positions, atoms.positions[bearing]]),
        elements=np.concatenate([atoms.elements, np.ones(bearing.sum(), np.int16)]),
        occupancy=np.concatenate([atoms.occupancy, number[bearing].astype(np.float32)]),
        b_iso=np.concatenate([atoms.b_iso, atoms.b_iso[bearing]]),
    )


def _flat(structure: gemmi.Structure, path: Path) -> gemmi.FlatStructure:
    try:
        return gemmi.FlatStructure(structure)
    except RuntimeError as error:
        raise StructureError(f"{path}: {error}; shorten the names") from error


def _select(chains: Shaped[np.ndarray, "N"], patterns: str, path: Path) -> Bool[np.ndarray, "N"]:
    """Return which atoms are in a chain that matches; every pattern has to match one."""
    present = list(dict.fromkeys(chains.tolist()))
    chosen: set[str] = set()
    for pattern in (part.strip() for part in patterns.split(",")):
        matched = [name for name in present if fnmatch.fnmatchcase(name, pattern)]
        if not matched:
            listed = ", ".join(name or "one without a name" for name in present)
            raise StructureError(
                f"{path}: no chain matches {pattern!r}; the file has chains {listed}"
            )
        chosen.update(matched)
    return np.isin(chains, list(chosen))


def _check_numbers(flat: gemmi.FlatStructure, keep: Bool[np.ndarray, "N"], path: Path) -> None:
    """Raise :class:`StructureError` for numbers that no atom has."""
    bad = ~np.isfinite(np.column_stack([flat.pos, flat.occ, flat.b_iso])).all(1)
    for wrong, why in (
        (bad, "have coordinates, occupancies or B factors that are not numbers"),
        (
            np.abs(flat.pos).max(1) > _FARTHEST_ANGSTROM,
            f"are more than {_FARTHEST_ANGSTROM:,.0f} Å from the origin",
        ),
        (flat.occ < 0, "have an occupancy below 0; expected 0 to 1, not a column of charges"),
    ):
        if (wrong & keep).any():
            sites = np.flatnonzero(wrong & keep)
            raise StructureError(
                f"{path}: {len(sites):,} atoms {why}; the first is serial {flat.serials[sites[0]]}"
            )


def _occupied(
    flat: gemmi.FlatStructure, keep: Bool[np.ndarray, "N"], path: Path
) -> Bool[np.ndarray, "N"]:
    """Return which atoms are there; says how many of ``keep`` are not."""
    occupied = flat.occ > 0
    absent = int((keep & ~occupied).sum())
    if absent == keep.sum():
        raise StructureError(f"{path}: every selected atom has occupancy zero")
    if absent:
        notice(path, f"{absent:,} of {keep.sum():,} atoms have occupancy zero and are left out")
    return occupied


def _parts(
    file: StructureFile, flat: gemmi.FlatStructure, assembly: str
) -> tuple[list[Part], Shaped[np.ndarray, "N"]]:
    """Return the parts of an assembly, and what they name of every atom."""
    if file.block is not None:
        return assemblies.from_mmcif(file.block, assembly), names(flat.subchains)
    return assemblies.from_pdb(file.structure, assembly), names(flat.chain_ids)


def _assemble(
    index: Int32[np.ndarray, "n"],
    positions: Float64[np.ndarray, "n 3"],
    labels: Shaped[np.ndarray, "n"],
    parts: list[Part],
    path: Path,
) -> tuple[Int32[np.ndarray, "N"], Float64[np.ndarray, "N 3"], Float64[np.ndarray, "_ 3"]]:
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


def _outermost(positions: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, "_"]:
    """Return the indices of the corners of the convex hull, the only ones that can be farthest."""
    try:
        return ConvexHull(positions).vertices
    except (QhullError, ValueError):  # fewer than four atoms, or all in one plane
        return np.arange(len(positions))


def enclosing_centre(positions: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "3"]:
    """Return the centre of the smallest enclosing ball (Bădoiu & Clarkson 2003).

    Step k moves towards the farthest atom by 1/(k+1) of the way, and the radius ends within a
    fraction of order 1/k of the smallest.
    """
    outer = positions[_outermost(positions)]
    centre = (outer.max(0) + outer.min(0)) / 2
    for step in range(1, _CENTRE_STEPS + 1):
        far = outer[np.argmax(((outer - centre) ** 2).sum(1))]
        centre = centre + (far - centre) / (step + 1)
    return centre
