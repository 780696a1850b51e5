"""Hydrogens that a structure file leaves out, counted from its residues.

Most files have none, which is one electron in eight of a protein. A residue's number is gemmi's
table of the free molecule less the water that a link of the chain gives off (and the proton of a
nucleotide's phosphate); it is shared out evenly among the residue's atoms and put where they are,
right to about 1 Å, so for resolutions of some 3 Å and lower.
"""

import gemmi
import numpy as np
from jaxtyping import Float64, Int

from xraisim.sample.residues import residue_numbers

_MOST_PER_ATOM = 3.0  # of a residue of which only a few atoms were seen


def missing_hydrogens(
    flat: gemmi.FlatStructure, elements: Int[np.ndarray, "N"]
) -> Float64[np.ndarray, "N"]:
    """Return how many hydrogens to add at every atom, of Z ``elements``.

    Zero in residues that have hydrogens, and at atoms that are hydrogen. Atoms of occupancy below 1
    (alternate locations) get their part.
    """
    occupancy, residue = flat.occ.astype(np.float64), residue_numbers(flat)
    first = np.flatnonzero(np.diff(residue, prepend=-1))
    total = np.array(
        [_in_residue(name.tobytes()) for name in np.asarray(flat.residue_names)[first]]
    )
    total[np.unique(residue[elements == 1])] = 0
    carried = np.bincount(residue, occupancy)
    per_atom = np.minimum(total / np.maximum(carried, 1e-6), _MOST_PER_ATOM)
    return per_atom[residue] * occupancy * (elements != 1)


def _in_residue(name: bytes) -> int:
    info = gemmi.find_tabulated_residue(name.split(b"\0")[0].decode().strip())
    lost = 2 * info.is_amino_acid() + 3 * info.is_nucleic_acid()
    return max(0, info.hydrogen_count - lost)
