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
            values = _guarded(path, lambda: _array(path, file, path.stat().st_size))
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
                return _array(f"{path}: {name}", file, members[name].file_size, scalar)

        kind = named[0] if named[0] in ("intensity", "density") else None
        return Raw(
            values=load(named[0]),
            kind=str(load("kind", scalar=True)) if "kind" in members else kind,
            spacing=float(load("spacing", scalar=True)) if "spacing" in members else None,
        )


def _array(name: Path | str, file: IO[bytes], size: int, scalar: bool = False) -> np.ndarray:
    """Return an array whose header describes no more than the ``size`` bytes there are."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format")
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, fortran, dtype = readers[version](file)
    if scalar and math.prod(shape) != 1:
        raise FormatError(f"{name} has shape {shape}; expected one value")
    if not scalar:
        require_size(name, shape)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    count = math.prod(shape)
    expected = count * dtype.itemsize
    content = file.read(min(expected + 1, size))
    if len(content) != expected:
        raise ValueError(f"{expected:,} bytes of data are declared, {len(content):,} are there")
    array = np.frombuffer(content, dtype, count)
    return array.reshape(shape, order="F" if fortran else "C") if not scalar else array[0]
