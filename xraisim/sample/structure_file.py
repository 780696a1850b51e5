"""Structure files: PDB and mmCIF text, plain or gzip, parsed by gemmi and checked to be whole."""

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import gemmi

from xraisim.core.errors import StructureError
from xraisim.core.streams import read_at_most
from xraisim.sample import mmcif, pdb_text

_GZIP = b"\x1f\x8b"
_MOST_BYTES = 1 << 30  # of text, some ten million atoms
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "ascii", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, kw_only=True)
class StructureFile:
    """What a file holds: ``structure`` with the models asked for.

    ``block`` is None for a PDB file, whose describing records (TITLE, REMARK, ...) are ``header``.
    """

    structure: gemmi.Structure
    block: gemmi.cif.Block | None
    header: str


def read_structure(path: Path, model: int = 0) -> StructureFile:
    """Return every model of a file, or number ``model`` alone (from 1).

    PDB or mmCIF is judged by content. Raises :class:`StructureError`.
    """
    text = _read_text(path)
    try:
        if re.search(r"^\s*data_|_atom_site\.", text, re.M | re.I):
            return _of_mmcif(text, path, model)
        return _of_pdb(text, path, model)
    except StructureError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        raise StructureError(
            f"{path}: not a readable PDB or mmCIF file ({error}); it may be truncated, "
            "fetch it again"
        ) from error


def count_models(path: Path | str) -> int:
    """Return the number of models in a file. Raises :class:`StructureError`."""
    return len(read_structure(Path(path)).structure)


def _of_mmcif(text: str, path: Path, model: int) -> StructureFile:
    block = mmcif.atom_block(text, path)
    expressions = block.find(["_pdbx_struct_assembly_gen.oper_expression"])
    said = [row[0] for row in expressions]
    for row in expressions:
        row[0] = "?"  # gemmi would write out any number of operators; we read them (assembly.py)
    structure = gemmi.make_structure_from_block(block)
    for row, text in zip(expressions, said, strict=True):
        row[0] = text
    chosen = _chosen(len(structure), model, path)
    for index in reversed(range(len(structure))):
        if index not in chosen:
            del structure[index]
    return StructureFile(structure=structure, block=block, header="")


def _of_pdb(text: str, path: Path, model: int) -> StructureFile:
    found = pdb_text.split_models(text, path)
    structure = pdb_text.to_structure(found, _chosen(len(found.models), model, path))
    return StructureFile(structure=structure, block=None, header="\n".join(found.header))


def _chosen(models: int, model: int, path: Path) -> range:
    """Return the indices of the models that ``model`` asks for."""
    if not models:
        raise StructureError(f"{path}: no atoms found; expected PDB or mmCIF text with coordinates")
    if not 0 <= model <= models:
        raise StructureError(
            f"{path}: there is no model {model}; the file has models 1 to {models}"
        )
    return range(model - 1, model) if model else range(models)


def _read_text(path: Path) -> str:
    """Return a file's text in ASCII with lines that end in a newline; other letters become ``?``.

    A byte becomes a letter, so that the columns stay where they are.
    """
    data = _unpacked(path)
    encoding = next((e for mark, e in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "ascii")
    if encoding == "ascii":
        data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise StructureError(f"{path}: the file is empty; expected PDB or mmCIF text")
    text = data.decode(encoding, errors="replace").replace("\ufffd", "?")
    if "\0" in text:
        raise StructureError(f"{path}: binary data; expected PDB or mmCIF text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unpacked(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise StructureError(f"{path}: no such file") from error
    except OSError as error:
        raise StructureError(f"{path}: cannot be read ({error.strerror})") from error
    if not raw.startswith(_GZIP):
        return raw
    try:
        with gzip.open(path) as stream:
            data = bytes(read_at_most(stream, _MOST_BYTES + 1))
    except (OSError, EOFError) as error:
        raise StructureError(
            f"{path}: cannot be read ({error}); the file looks truncated, fetch it again"
        ) from error
    except zlib.error as error:
        raise StructureError(f"{path}: damaged gzip data ({error}); fetch it again") from error
    if len(data) > _MOST_BYTES:
        raise StructureError(f"{path}: holds more than 1 GiB of text, too much for a structure")
    return data
