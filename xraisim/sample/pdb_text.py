"""PDB text: its models found and its columns checked before gemmi reads it.

gemmi stops at the first END, wants MODEL records numbered and closed, and takes a column without a
number for 0 (``********`` of an overflow) or for a default (no B factor: 20 Å²).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import gemmi

from xraisim.core.errors import StructureError
from xraisim.sample.notices import notice

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)\s*")
_ATOM = re.compile(r"ATOM(?![A-Z_])|HETATM")  # a table's ATOM_NAME is none
_COORDINATES = {"x": slice(30, 38), "y": slice(38, 46), "z": slice(46, 54)}
_OCCUPANCY, _B_ISO = slice(54, 60), slice(60, 66)
_DESCRIPTIVE = ("HEADER", "TITLE", "COMPND", "EXPDTA", "REMARK", "PARENT")
_CLOSING = ("END", "ENDMDL", "MASTER", "CONECT")


@dataclass(frozen=True, kw_only=True)
class PdbText:
    """``models``: the atom and TER lines of each; ``header``: the lines that describe the file."""

    header: list[str]
    models: list[list[str]]


def split_models(text: str, path: Path) -> PdbText:
    """Return the models of a PDB file: what MODEL, ENDMDL and END records part.

    Warns where B factors or the END record are missing. Raises :class:`StructureError` for columns
    without a number and for a last atom that was cut off.
    """
    lines = text.split("\n")
    header: list[str] = []
    models: list[list[str]] = [[]]
    without_b = last_atom = closed = 0
    for number, line in enumerate(lines, 1):
        record = line[:6].upper().rstrip()
        if _ATOM.match(record):
            without_b += not line[_B_ISO].strip()
            models[-1].append(_checked(line, number, path))
            last_atom = number
        elif record == "TER" and models[-1]:
            models[-1].append("TER")
        elif record in ("MODEL", "ENDMDL", "END") and models[-1]:
            models.append([])
        elif record in _DESCRIPTIVE:
            header.append(line)
        if record in _CLOSING:
            closed = number
    if last_atom > closed:
        _end_is_missing(lines, last_atom, path)
    if without_b:
        notice(path, f"{without_b:,} atoms have no B factor; it is taken as 0")
    return PdbText(header=header, models=[model for model in models if model])


def to_structure(text: PdbText, chosen: Iterable[int]) -> gemmi.Structure:
    """Return the models with indices ``chosen``, and the assemblies of REMARK 350."""
    lines = [line for line in text.header if line[:10].upper() == "REMARK 350"]
    for index in chosen:
        lines += [*text.models[index], "ENDMDL"]
    return gemmi.read_pdb_string("\n".join([*lines, "END\n"]))


def _checked(line: str, number: int, path: Path) -> str:
    """Return an atom's line with occupancy 1 and B factor 0 where these are blank."""
    for name, columns in _COORDINATES.items():
        _check_number(line, name, columns, number, path)
    if line[_OCCUPANCY].strip() and line[_B_ISO].strip():
        _check_number(line, "occupancy", _OCCUPANCY, number, path)
        _check_number(line, "B factor", _B_ISO, number, path)
        return line
    line = line.ljust(80)
    occupancy = line[_OCCUPANCY] if line[_OCCUPANCY].strip() else "  1.00"
    b_iso = line[_B_ISO] if line[_B_ISO].strip() else "  0.00"
    return _checked(
        line[: _OCCUPANCY.start] + occupancy + b_iso + line[_B_ISO.stop :], number, path
    )


def _check_number(line: str, name: str, columns: slice, number: int, path: Path) -> None:
    if not _NUMBER.fullmatch(line[columns]):
        raise StructureError(
            f"{path}, line {number}: expected a number for {name} in columns "
            f"{columns.start + 1} to {columns.stop}, found {line[columns]!r}; the file is damaged, "
            "or its columns are not those of the PDB format"
        )


def _end_is_missing(lines: list[str], last_atom: int, path: Path) -> None:
    last, before = lines[last_atom - 1], lines[last_atom - 2] if last_atom > 1 else ""
    if last_atom == len(lines) and before[:4] == last[:4] and len(last) < len(before):
        raise StructureError(
            f"{path}: the file is truncated in the middle of its last atom; fetch it again"
        )
    notice(path, "no END record; if the file was truncated, atoms are missing")
