"""Atoms of PDB files, line by line."""

import gemmi
import pytest


def _atom_line(
    serial: int,
    position: tuple[float, float, float],
    element: str = "C",
    *,
    name: str = "",
    residue: str = "GLY",
    number: int | None = None,
    chain: str = "A",
    occupancy: float = 1.0,
    b_iso: float = 0.0,
    altloc: str = " ",
) -> str:
    """``name`` is as in columns 13 to 16, an element of one letter in the second of them."""
    x, y, z = position
    name = name or f"{element:>2s}"
    number = serial if number is None else number
    return (
        f"ATOM  {serial:5d} {name:<4s}{altloc}{residue:>3s} {chain}{number:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{b_iso:6.2f}          {element:>2s}\n"
    )


@pytest.fixture(scope="session")
def atom_line():
    """Return the function that writes an atom's line of a PDB file."""
    return _atom_line


@pytest.fixture(scope="session")
def mmcif_text():
    """Return a function that turns PDB lines into mmCIF text."""

    def convert(lines: list[str]) -> str:
        structure = gemmi.read_pdb_string("".join(lines) + "END\n")
        structure.setup_entities()
        return structure.make_mmcif_document().as_string()

    return convert
