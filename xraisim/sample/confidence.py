"""Predicted models: their column of B factors holds confidence scores (pLDDT), 0 to 100."""

import re
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Float32

from xraisim.sample.notices import notice
from xraisim.sample.residues import residue_numbers
from xraisim.sample.structure_file import StructureFile

_PREDICTORS = re.compile(
    r"alphafold|colabfold|esmfold|openfold|rosettafold|omegafold|boltz|chai-?1|plddt|^PARENT ",
    re.I | re.M,
)
_MEASURED = re.compile(r"^EXPDTA (?!.*THEORETICAL)|^REMARK   3 ", re.I | re.M)
_METHODS = ("_exptl.method", "_em_3d_reconstruction.resolution", "_refine.ls_d_res_high")
_FEWEST_RESIDUES = 10
_LIKELY_MEAN = 50.0


def b_factors(
    file: StructureFile, flat: gemmi.FlatStructure, path: Path
) -> Float32[np.ndarray, "N"]:
    """Return B of every atom, Å²: 0 where the file says that it holds scores instead.

    Says so, and also where the values only look like scores, which are kept.
    """
    values = flat.b_iso
    if _is_measured(file) or not values.any():
        return values
    if _is_predicted(file):
        notice(
            path,
            "a predicted model, whose column of B factors holds confidence scores (pLDDT); they "
            "are left out, B is 0",
        )
        return np.zeros_like(values)
    if _look_like_scores(flat):
        notice(
            path,
            f"the B factors, mean {values.mean():.0f} Å², are one value per residue up to 100, as "
            "are confidence scores (pLDDT) of predicted models; if so, leave them out with "
            "b_factors = false",
        )
    return values


def _is_measured(file: StructureFile) -> bool:
    if file.block is None:
        return bool(_MEASURED.search(file.header))
    found = [value for tag in _METHODS for value in file.block.find_values(tag)]
    return any(
        not gemmi.cif.is_null(value) and "THEORETICAL" not in value.upper() for value in found
    )


def _is_predicted(file: StructureFile) -> bool:
    if file.block is None:
        return bool(_PREDICTORS.search(file.header))
    return bool(len(file.block.find_mmcif_category("_ma_qa_metric.")))


def _look_like_scores(flat: gemmi.FlatStructure) -> bool:
    values, residue = flat.b_iso, residue_numbers(flat)
    first = np.flatnonzero(np.diff(residue, prepend=-1))
    several = np.bincount(residue) > 1
    same = (np.maximum.reduceat(values, first) == np.minimum.reduceat(values, first))[several]
    return bool(
        several.sum() >= _FEWEST_RESIDUES
        and same.mean() > 0.99
        and values.min() >= 0
        and values.max() <= 100
        and values.mean() > _LIKELY_MEAN
    )
