"""Residues in gemmi's flat arrays of atoms."""

from typing import Any

import gemmi
import numpy as np
from jaxtyping import Int64, Shaped


def residue_numbers(flat: gemmi.FlatStructure) -> Int64[np.ndarray, "N"]:
    """Return which residue every atom belongs to, counted from 0 in the file's order."""
    columns = (flat.model_num, flat.residue_names, flat.chain_ids, flat.resnums, flat.icodes)
    new = np.zeros(len(flat.pos), bool)
    for column in columns:
        values = np.asarray(column).reshape(len(new), -1)
        new[1:] |= (values[1:] != values[:-1]).any(1)
    return np.cumsum(new)


def names(codes: Any) -> Shaped[np.ndarray, "N"]:
    """Decode gemmi's fixed-width character arrays [N, width] to strings."""
    letters = np.ascontiguousarray(codes)
    return letters.view(f"S{letters.shape[1]}")[:, 0].astype(str)
