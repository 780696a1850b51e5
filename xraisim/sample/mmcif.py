"""mmCIF text: the data block that holds the atoms, and its atom table checked for gemmi."""

import re
from pathlib import Path

import gemmi

from xraisim.core.errors import StructureError
from xraisim.sample.notices import notice

_NEEDED = ("type_symbol", "Cartn_x", "Cartn_y", "Cartn_z")
_B_ISO = "_atom_site.B_iso_or_equiv"


def atom_block(text: str, path: Path) -> gemmi.cif.Block:
    """Return the first data block with an atom table; warns if there are others.

    Atoms without a B factor get 0, for which gemmi would take 20 Å². Raises
    :class:`StructureError` if there is no such block or a needed column is missing.
    """
    document = gemmi.cif.read_string(text)
    blocks = [block for block in document if len(block.find_mmcif_category("_atom_site."))]
    if not blocks:
        raise StructureError(f"{path}: {_why_no_atoms(document)}")
    block = blocks[0]
    if len(blocks) > 1:
        names = ", ".join(other.name for other in blocks)
        notice(path, f"{len(blocks)} data blocks hold atoms ({names}); {block.name} is taken")
    _check_columns(block, path)
    _fill_b_factors(block, path)
    if re.search(r"^#\s*\nloop_", text, re.M) and not text.rstrip().endswith("#"):
        notice(path, "no # behind the last table; if it was truncated, atoms are missing")
    return block


def _why_no_atoms(document: gemmi.cif.Document) -> str:
    if any(block.find_values("_atom_site_fract_x") for block in document):
        return (
            "a CIF of a crystal's unit cell (fractional coordinates); expected mmCIF with "
            "_atom_site.Cartn_x, y and z"
        )
    return "no atoms found; expected mmCIF with a table _atom_site"


def _check_columns(block: gemmi.cif.Block, path: Path) -> None:
    missing = [name for name in _NEEDED if not block.find_values(f"_atom_site.{name}")]
    if missing:
        raise StructureError(
            f"{path}: the atom table lacks {', '.join(missing)}; expected the columns of mmCIF"
        )


def _fill_b_factors(block: gemmi.cif.Block, path: Path) -> None:
    column = block.find_values(_B_ISO)
    if not column:
        loop = block.find_loop("_atom_site.Cartn_x").get_loop()
        missing = loop.length() if loop else 1
        if loop:
            loop.add_columns([_B_ISO], "0")
        else:
            block.set_pair(_B_ISO, "0")
    else:
        empty = [row for row, cell in enumerate(column) if gemmi.cif.is_null(cell)]
        for row in empty:
            column[row] = "0"
        missing = len(empty)
    if missing:
        notice(path, f"{missing:,} atoms have no B factor; it is taken as 0")
