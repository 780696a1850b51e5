"""Volumes as plain numpy arrays [x, y, z]: ``.npy``, and ``.npz`` with the volume among others.

Neither says its units. An ``.npz`` may hold scalars ``kind`` and ``spacing`` beside the volume;
for an ``.npy`` both have to be stated.
"""

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from xraisim.core import npy
from xraisim.core.errors import FormatError, reading
from xraisim.files.volume_grid import Raw, require_size

NPY, NPZ = b"\x93NUMPY", b"PK\x03\x04"
SIGNATURES = (NPY, NPZ)
_NAMES = ("volume", "intensity", "density")
_Found = TypeVar("_Found")


def read(path: Path) -> Raw:
    """Return what the file holds; raises :class:`FormatError` where that is not one volume."""
    with open(path, "rb") as file:
        if file.read(len(NPY)) == NPY:
            file.seek(0)
            values = _guarded(path, lambda: _array(path, file))
            return Raw(values=values, kind=None, spacing=None)
    return _guarded(path, lambda: _archive(path))


def _guarded(path: Path, load: Callable[[], _Found]) -> _Found:
    with reading(path, "numpy file"):
        return load()


def _archive(path: Path) -> Raw:
    with zipfile.ZipFile(path) as archive:
        members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        volumes = [name for name in members if name not in ("kind", "spacing")]
        named = [name for name in _NAMES if name in volumes] or volumes
        if len(named) != 1:
            raise FormatError(
                f"{path} holds the arrays {', '.join(volumes) or '(none)'}; expected one, or one "
                f"of the name {' or '.join(_NAMES)}"
            )

        def load(name: str, scalar: bool = False) -> np.ndarray:
            with archive.open(members[name]) as file:
                return _array(f"{path}: {name}", file, scalar)

        kind = named[0] if named[0] in ("intensity", "density") else None
        return Raw(
            values=load(named[0]),
            kind=str(load("kind", scalar=True)) if "kind" in members else kind,
            spacing=float(load("spacing", scalar=True)) if "spacing" in members else None,
        )


def _array(name: Path | str, stream: IO[bytes], scalar: bool = False) -> np.ndarray:
    """Return an array of three dimensions, or one value."""
    header = npy.read_header(stream)
    if scalar and math.prod(header.shape) != 1:
        raise FormatError(f"{name} has shape {header.shape}; expected one value")
    if not scalar:
        require_size(name, header.shape)
    array = npy.read_data(stream, header)
    return array.reshape(-1)[0] if scalar else array
