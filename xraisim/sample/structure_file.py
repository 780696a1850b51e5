"""Structure files: PDB and mmCIF text, plain or gzip, parsed by gemmi and checked to be whole."""

import gzip
import zlib
from pathlib import Path

import gemmi

from xraisim.core.errors import StructureError


def read_model(path: Path, number: int) -> tuple[gemmi.Structure, gemmi.cif.Block | None]:
    """Return the structure reduced to model ``number`` (from 1; 0: the first), and its mmCIF block.

    The block is None for a PDB file. Raises :class:`StructureError`.
    """
    structure, block = _parse(path, _read_text(path))
    if not 0 <= number <= len(structure):
        raise StructureError(
            f"{path}: there is no model {number}; the file has models 1 to {len(structure)}"
        )
    for index in reversed(range(len(structure))):
        if index != max(number - 1, 0):
            del structure[index]
    return structure, block


def count_models(path: Path | str) -> int:
    """Return the number of models in a file. Raises :class:`StructureError`."""
    return len(_parse(Path(path), _read_text(Path(path)))[0])


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except FileNotFoundError as error:
        raise StructureError(f"{path}: no such file") from error
    except (OSError, EOFError) as error:
        raise StructureError(
            f"{path}: cannot be read ({error}); the file looks truncated, fetch it again"
        ) from error
    except zlib.error as error:
        raise StructureError(f"{path}: damaged gzip data ({error}); fetch it again") from error
    if not data.strip():
        raise StructureError(f"{path}: the file is empty; expected PDB or mmCIF text")
    return data.decode("utf-8", errors="replace")


def _parse(path: Path, text: str) -> tuple[gemmi.Structure, gemmi.cif.Block | None]:
    """Return the structure, and the mmCIF block if it is one (judged by content)."""
    try:
        if text.lstrip("\ufeff \t\r\n").startswith(("data_", "#")) or "_atom_site." in text:
            block = gemmi.cif.read_string(text).sole_block()
            structure = gemmi.make_structure_from_block(block)
        else:
            block, structure = None, gemmi.read_pdb_string(text)
    except (RuntimeError, ValueError, IndexError) as error:
        raise StructureError(
            f"{path}: not a readable PDB or mmCIF file ({error}); it may be truncated, "
            "fetch it again"
        ) from error
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise StructureError(f"{path}: no atoms found; expected PDB or mmCIF text with coordinates")
    if block is None and not any(
        line.startswith(("END", "MASTER")) for line in text[-2000:].splitlines()
    ):
        raise StructureError(f"{path}: the PDB file has no END record; it looks truncated")
    return structure, block
