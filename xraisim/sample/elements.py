"""Chemical elements of a file's atoms as atomic numbers, which is what scatters."""

from functools import cache
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Bool, Int16

from xraisim.core.errors import StructureError
from xraisim.sample.notices import notice
from xraisim.scattering.form_factors import HEAVIEST_ELEMENT

_IN_POLYMERS = "HDCNOPS"  # what the standard residues are made of


def atomic_numbers(
    flat: gemmi.FlatStructure, keep: Bool[np.ndarray, "N"], path: Path
) -> Int16[np.ndarray, "N"]:
    """Return Z of every atom; deuterium's is hydrogen's, 0 where it is unknown.

    gemmi numbers deuterium behind the last element. Names that begin a column too far to the left
    (``CA`` of an alpha carbon for calcium) are read as the residue has it, with a warning. Raises
    :class:`StructureError` if an element of the atoms in ``keep`` cannot be used.
    """
    symbols, inverse = np.unique(np.asarray(flat.element_names), return_inverse=True)
    known = [gemmi.Element(symbol.decode().strip("\0 ")).atomic_number for symbol in symbols]
    numbers = np.array(known, np.int16)[inverse.reshape(-1)]
    _correct(numbers, flat, keep, path)
    for refused, why in (
        (numbers == 0, "have an unknown element"),
        (numbers > HEAVIEST_ELEMENT, "are of an element without a form factor"),
    ):
        if (refused & keep).any():
            sites = np.flatnonzero(refused & keep)
            raise StructureError(
                f"{path}: {len(sites):,} atoms {why}, the first is serial "
                f"{flat.serials[sites[0]]}; give every atom a chemical element"
            )
    return numbers


def _correct(
    numbers: Int16[np.ndarray, "N"],
    flat: gemmi.FlatStructure,
    keep: Bool[np.ndarray, "N"],
    path: Path,
) -> None:
    """Replace elements that a standard residue does not have by the first letter of the name."""
    usual = [gemmi.Element(symbol).atomic_number for symbol in _IN_POLYMERS]
    residues, names, corrected = np.asarray(flat.residue_names), np.asarray(flat.atom_names), 0
    for site in np.flatnonzero(~np.isin(numbers, usual) & keep):
        name = _text(names[site])
        symbol = gemmi.Element(int(numbers[site])).name.upper()
        misread = numbers[site] == 0 or (len(symbol) == 2 and name.startswith(symbol))
        if misread and name[:1] in _IN_POLYMERS and _is_standard(_text(residues[site])):
            numbers[site] = gemmi.Element(name[0]).atomic_number
            corrected += 1
    if corrected:
        notice(
            path,
            f"{corrected:,} atoms of standard residues have an element that these do not contain "
            "(Ca for an alpha carbon, or none); the first letter of the atom's name is taken",
        )


def _text(letters: np.ndarray) -> str:
    return letters.tobytes().split(b"\0")[0].decode().strip()


@cache
def _is_standard(residue: str) -> bool:
    return bool(residue) and gemmi.find_tabulated_residue(residue).is_standard()
