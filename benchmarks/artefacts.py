"""The files of a submission: that they are all there is to it, and their hashes.

Nothing of a submission is ever run. But an HDF5 file, or a link, can name other files of the
machine that reads it: an ``orientations`` that is the organiser's truth. Such are refused.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import h5py

from xraisim.core.errors import FormatError, reading


def hashes(paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 (hexadecimal) of files by their names."""
    found = {}
    for path in paths:
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def require_alone(path: Path) -> None:
    """Raise :class:`FormatError` for a file whose content lies elsewhere, in part or whole."""
    if path.is_symlink() or not path.is_file():
        raise FormatError(f"{path} is no plain file; expected the file itself, not a link to it")
    if not h5py.is_hdf5(path):
        return
    with reading(path, "HDF5 file"), h5py.File(path, "r") as file:
        _require_alone(path, file)


def _require_alone(path: Path, group: h5py.Group) -> None:
    """Look at every link of a group and of those below; a soft link stays within the file."""
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise _elsewhere(path, f"{group.name.rstrip('/')}/{name}", link.filename)
        if not isinstance(link, h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            _require_alone(path, item)
        elif isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
            where = item.virtual_sources() if item.is_virtual else item.external
            named = where[0].file_name if item.is_virtual else where[0][0]
            raise _elsewhere(path, item.name, named)


def _elsewhere(path: Path, name: str, where: str) -> FormatError:
    return FormatError(
        f"{path}: {name} lies in another file, {where!r}; expected the values themselves"
    )
