"""Residues in gemmi's flat arrays of atoms."""

from typing import Any

import gemmi
import numpy as np


def residue_numbers(flat: gemmi.FlatStructure) -> np.ndarray:
    """Return which residue every atom belongs to, counted from 0 in the file's order, int64 [N]."""
    columns = (flat.model_num, flat.residue_names, flat.chain_ids, flat.resnums, flat.icodes)
    new = np.zeros(len(flat.pos), bool)
    for column in columns:
        values = np.asarray(column).reshape(len(new), -1)
        new[1:] |= (values[1:] != values[:-1]).any(1)
    return np.cumsum(new)


def names(codes: Any) -> np.ndarray:
    """Decode gemmi's fixed-width character arrays [N, width] to strings [N]."""
    letters = np.ascontiguousarray(codes)
    return letters.view(f"S{letters.shape[1]}")[:, 0].astype(str)
