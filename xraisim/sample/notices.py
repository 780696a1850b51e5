"""What a reader of structures leaves out or finds odd is said, as warnings."""

import warnings
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from xraisim.sample.residues import names

_STRAY_ANGSTROM = 100.0
_FEWEST_FOR_A_STRAY = 10
_FEWEST_FOR_A_TRACE = 10
_FULL = 1.05  # occupancies are rounded to two digits


def notice(path: Path, text: str) -> None:
    """Warn about a file."""
    warnings.warn(f"{path}: {text}", stacklevel=3)


def look_over(
    flat: gemmi.FlatStructure,
    keep: Bool[np.ndarray, "N"],
    outer: Float[np.ndarray, "H 3"],
    path: Path,
) -> None:
    """Say what is odd about the atoms in ``keep``, the outermost at ``outer``."""
    _occupancies(flat, keep, path)
    _alternates(flat, keep, path)
    _coincidences(flat, keep, path)
    _strays(flat.pos[keep], outer, path)
    _trace(flat, keep, path)
    if negative := int((flat.b_iso[keep] < 0).sum()):
        notice(path, f"{negative:,} atoms have a B factor below 0; it is taken as 0")


def _occupancies(flat: gemmi.FlatStructure, keep: Bool[np.ndarray, "N"], path: Path) -> None:
    occupancy = flat.occ[keep]
    if above := int((occupancy > 1).sum()):
        notice(
            path,
            f"{above:,} atoms have an occupancy above 1, up to {occupancy.max():g}, and scatter as "
            "so many; is it a column of charges or weights?",
        )


def _alternates(flat: gemmi.FlatStructure, keep: Bool[np.ndarray, "N"], path: Path) -> None:
    """Say where alternate locations of an atom add up to more than one."""
    sites = np.flatnonzero(keep & (np.asarray(flat.altlocs) != 0))
    if not len(sites):
        return
    columns = (flat.model_num, flat.chain_ids, flat.resnums, flat.icodes, flat.atom_names)
    keys = [np.asarray(column)[sites].reshape(len(sites), -1) for column in columns]
    labels = np.hstack([np.ascontiguousarray(key).view(np.uint8) for key in keys])
    _, atom = np.unique(labels, axis=0, return_inverse=True)
    total = np.bincount(atom.reshape(-1), flat.occ[sites])
    if over := int((total > _FULL).sum()):
        notice(
            path,
            f"the alternate locations of {over:,} atoms have occupancies that add up to more than "
            f"1, to {total.max():.3g} at most; they scatter as so many atoms",
        )


def _coincidences(flat: gemmi.FlatStructure, keep: Bool[np.ndarray, "N"], path: Path) -> None:
    """Say where more than one atom is at a place, to the thousandth of an Å."""
    places = np.round(flat.pos[keep] * 1000).astype(np.int64)
    order = np.lexsort(places.T)
    new = np.any(np.diff(places[order], axis=0) != 0, axis=1)
    site = np.concatenate([[0], np.cumsum(new)])
    crowded = (np.bincount(site, flat.occ[keep][order]) > _FULL) & (np.bincount(site) > 1)
    if crowded.any():
        notice(
            path,
            f"at {int(crowded.sum()):,} places there is more than one atom; all of them scatter "
            "(are atoms listed twice, or their coordinates not known?)",
        )


def _strays(
    positions: Float[np.ndarray, "n 3"], outer: Float[np.ndarray, "H 3"], path: Path
) -> None:
    """Say that an outermost atom is far from all others, which would set the diameter."""
    if len(positions) < _FEWEST_FOR_A_STRAY:
        return
    distance = KDTree(positions).query(outer, k=2)[0][:, 1].max()
    if distance > _STRAY_ANGSTROM:
        notice(
            path,
            f"an atom is {distance:.0f} Å away from all others and makes the particle that large; "
            "is it a placeholder?",
        )


def _trace(flat: gemmi.FlatStructure, keep: Bool[np.ndarray, "N"], path: Path) -> None:
    """Say that only one atom of each residue is there, so most electrons are missing."""
    found, inverse = np.unique(names(flat.residue_names)[keep], return_inverse=True)
    tabulated = [gemmi.find_tabulated_residue(name) for name in found.tolist()]
    polymer = np.array([info.is_amino_acid() or info.is_nucleic_acid() for info in tabulated])
    atoms = names(flat.atom_names)[keep][polymer[inverse.reshape(-1)]]
    traced = np.isin(atoms, ["CA", "P"]).sum()
    if traced >= _FEWEST_FOR_A_TRACE and traced > 0.9 * len(atoms):
        notice(
            path,
            f"only one atom (CA or P) of each of {traced:,} residues is in the file; most of the "
            "particle's electrons are missing",
        )
