"""Which models of a file are the particle: one of several, or all where they are its copies.

Files of biological assemblies (``.pdb1``) hold the copies of what was deposited as models, placed
side by side; elsewhere models are views of the same particle, in the same place.
"""

import re
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Bool, Float, Int, Int64
from scipy.spatial import KDTree

from xraisim.sample.notices import notice

_ASSEMBLY_NAME = re.compile(r"\.pdb\d+(\.gz)?$", re.I)
_SAME_ANGSTROM = 0.05  # rms, between copies of which each is rounded to 0.001 Å
_CLASH_ANGSTROM = 0.8  # shorter than any bond
_MOST_CLASHES = 0.01
_SAMPLED = 200_000


def particle(flat: gemmi.FlatStructure, path: Path, *, copies: bool) -> Bool[np.ndarray, "N"]:
    """Return which atoms make up the particle: the first model, or all. Says which.

    All models are taken if they do not overlap and are copies of each other, or the file is named
    like that of an assembly; never without ``copies``.
    """
    number = np.asarray(flat.model_num)
    models = list(dict.fromkeys(number.tolist()))
    if len(models) == 1:
        return np.ones(len(number), bool)
    parts = [np.flatnonzero(number == model) for model in models]
    if copies and _apart(flat.pos, number):
        named = bool(_ASSEMBLY_NAME.search(path.name))
        if named or all(_congruent(flat, parts[0], part) for part in parts[1:]):
            notice(
                path,
                f"its {len(models)} models are copies placed apart, as in the file of a biological "
                "assembly; all are taken as one particle (model = 1 takes the first alone)",
            )
            return np.ones(len(number), bool)
    notice(
        path,
        f"1 of {len(models)} models is taken, the first; choose one with model, or take all as "
        "conformations with all_models",
    )
    return number == models[0]


def _apart(positions: Float[np.ndarray, "N 3"], number: Int[np.ndarray, "N"]) -> bool:
    """Whether hardly any atom has one of another model for its nearest neighbour, in its place."""
    chosen = np.linspace(0, len(positions) - 1, min(len(positions), _SAMPLED)).astype(int)
    tree = KDTree(positions)
    distance, nearest = tree.query(positions[chosen], k=2, distance_upper_bound=_CLASH_ANGSTROM)
    met = np.isfinite(distance)
    other = np.zeros(met.shape, bool)
    other[met] = (number[nearest % len(number)] != number[chosen, None])[met]
    return bool(other.any(1).mean() <= _MOST_CLASHES)


def _congruent(
    flat: gemmi.FlatStructure, one: Int64[np.ndarray, "_"], other: Int64[np.ndarray, "_"]
) -> bool:
    """Whether two sets of atoms differ by a rotation and a shift alone (Kabsch 1976)."""
    elements = np.asarray(flat.elements)
    if len(one) != len(other) or (elements[one] != elements[other]).any():
        return False
    a, b = (flat.pos[part] - flat.pos[part].mean(0) for part in (one, other))
    U, width, V = np.linalg.svd(a.T @ b)
    width[2] *= np.sign(np.linalg.det(U @ V))
    squared = (a**2).sum() + (b**2).sum() - 2 * width.sum()
    return bool(squared <= len(one) * _SAME_ANGSTROM**2)
