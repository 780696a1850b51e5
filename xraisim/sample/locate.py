"""Where a structure is found: a path, a shipped file, a given directory, the cache, the archive."""

import hashlib
import os
import re
from importlib.resources import files
from pathlib import Path

from xraisim.core.errors import StructureError
from xraisim.sample import fetch

SUFFIXES = (".cif.gz", ".cif", ".pdb.gz", ".pdb", ".ent.gz", ".ent")
DIRECTORY_VARIABLE = "XRAI_STRUCTURES"


def shipped_directory() -> Path:
    """Return where the shipped structures are: ``data/`` of a checkout, or inside the wheel."""
    package = Path(str(files("xraisim")))
    installed = package / "shipped"
    return installed if installed.is_dir() else package.parent / "data"


def locate(name: str | Path, *, directory: Path | str | None = None) -> Path:
    """Return the file of structure ``name``: a path, or an identifier such as ``4v5d``.

    An identifier is looked for in ``directory``, the directory in ``XRAI_STRUCTURES``, the files
    that ship with X-RAI and the cache, and is then fetched from the wwPDB sites. Raises
    :class:`StructureError` that says where it looked.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    identifier = str(name).strip().lower()
    if path.suffix or len(path.parts) != 1 or not re.fullmatch(r"[a-z0-9_-]+", identifier):
        raise StructureError(
            f"{name}: no such file; give the path of a PDB or mmCIF file, or a PDB identifier"
        )
    places = _places(directory)
    for place in places:
        for suffix in SUFFIXES:
            if (place / f"{identifier}{suffix}").is_file():
                return place / f"{identifier}{suffix}"
    if not re.fullmatch(r"[0-9][a-z0-9]{3}", identifier):
        looked = ", ".join(str(place) for place in places)
        raise StructureError(
            f"no structure named {identifier!r} in {looked}, and it is not a PDB identifier "
            "(four characters, the first a digit) that could be fetched"
        )
    return fetch.cached_or_fetched(identifier)


def _places(directory: Path | str | None) -> list[Path]:
    places = [Path(directory)] if directory else []
    if directory and not places[0].is_dir():
        raise StructureError(f"the structure directory {directory} does not exist")
    if os.environ.get(DIRECTORY_VARIABLE):
        places.append(Path(os.environ[DIRECTORY_VARIABLE]))
    return [*places, shipped_directory()]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
