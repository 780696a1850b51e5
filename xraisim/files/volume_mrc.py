"""Volumes as MRC2014 maps (``.mrc``, ``.map``, ``.ccp4``), with axes in any order.

A file holds sections of rows of columns, and its header says which of x, y, z each is. We write z,
y, x. The voxel size field holds Å for a density and Å⁻¹ for an intensity, which our label states; a
map of another program says of itself neither. The format has no checksums: what is checked is that
the header describes just this file.
"""

import gzip
from pathlib import Path
from typing import BinaryIO

import mrcfile
import numpy as np
from mrcfile import utils
from mrcfile.dtypes import HEADER_DTYPE

from xraisim.core.errors import FormatError, reading
from xraisim.core.streams import read_at_most
from xraisim.core.types import Volume
from xraisim.files.volume_grid import Raw, require_size

SUFFIXES = (".mrc", ".map", ".ccp4")
_LABELS = {
    "intensity": "X-RAI intensity |F|^2; voxel size in 1/A",
    "density": "X-RAI density; voxel size in A",
}
_HEADER_BYTES = HEADER_DTYPE.itemsize
_MAP_AT = HEADER_DTYPE.fields["map"][1]
_GZIP = b"\x1f\x8b"
_MOST_EXTRA = 2**26  # bytes of symmetry or metadata between header and data
_EQUAL = 1e-3  # voxel sizes are stored as cell lengths in single precision, and often rounded


def recognised(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a map, or packed by gzip as maps often are."""
    return head[_MAP_AT : _MAP_AT + 3] == b"MAP" or head.startswith(_GZIP)


def write(path: Path, volume: Volume) -> None:
    """Write a map with our label; its origin field says that the middle voxel is zero."""
    values = volume.values.detach().cpu().float().numpy()
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(np.ascontiguousarray(values.transpose(2, 1, 0)))
        file.voxel_size = volume.spacing
        for axis in "xyz":
            file.header.origin[axis] = -(volume.grid // 2) * volume.spacing
        file.header.label[0] = _LABELS[volume.kind]
        file.header.nlabl = 1


def read(path: Path) -> Raw:
    """Return what a map holds; raises :class:`FormatError` for a header that does not fit it."""
    with reading(path, "MRC map"), _opened(path) as file:
        header = _header(file.read(_HEADER_BYTES))
        dtype, shape = utils.data_dtype_from_header(header), _shape(path, header)
        extra = int(header.nsymbt)
        expected = int(np.prod(shape)) * dtype.itemsize
        if extra < 0 or len(read_at_most(file, min(extra, _MOST_EXTRA))) != extra:
            raise FormatError(f"{path} declares {extra:,} bytes before its data, and lacks them")
        content = read_at_most(file, expected + 1)
    if len(content) != expected:
        found = f"{len(content):,}" if len(content) < expected else "more"
        raise FormatError(
            f"{path} declares {expected:,} bytes of data and has {found}: it is truncated, or its "
            "header is damaged"
        )
    label = bytes(header.label[0]).decode(errors="replace").strip("\0 ")
    kind = next((kind for kind, text in _LABELS.items() if label == text), None)
    stored = np.frombuffer(content, dtype).reshape(shape)
    return Raw(
        values=stored.transpose(_order(path, header)),
        kind=kind,
        spacing=_spacing(path, header),
        ours=kind is not None,
        origin=_origin(path, header),
    )


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    with open(path, "rb") as file:
        packed = file.read(2) == _GZIP
    return gzip.open(path) if packed else open(path, "rb")


def _header(content: bytes) -> np.recarray:
    if len(content) < _HEADER_BYTES:
        raise ValueError(f"it ends within the header, after {len(content)} bytes")
    header = np.frombuffer(content, HEADER_DTYPE).reshape(()).view(np.recarray)
    if bytes(header.map)[:3] != b"MAP":
        raise ValueError("the word MAP is missing at byte 208")
    order = utils.byte_order_from_machine_stamp(header.machst)
    return np.frombuffer(content, HEADER_DTYPE.newbyteorder(order)).reshape(()).view(np.recarray)


def _shape(path: Path, header: np.recarray) -> tuple[int, int, int]:
    shape = int(header.nz), int(header.ny), int(header.nx)
    require_size(path, shape)
    return shape


def _order(path: Path, header: np.recarray) -> tuple[int, int, int]:
    """Return which stored axis (0 sections, 1 rows, 2 columns) is x, y and z."""
    named = [int(header.maps), int(header.mapr), int(header.mapc)]
    if sorted(named) != [1, 2, 3]:
        raise FormatError(
            f"{path} says that its columns, rows and sections are axes {named[2]}, {named[1]}, "
            f"{named[0]}; expected 1, 2, 3 in some order"
        )
    return named.index(1), named.index(2), named.index(3)


def _spacing(path: Path, header: np.recarray) -> float | None:
    """Return the voxel size, None where the header has none."""
    angles = [float(header.cellb[name]) for name in ("alpha", "beta", "gamma")]
    if any(angle not in (0.0, 90.0) for angle in angles):
        raise FormatError(f"{path} has cell angles {angles}; expected voxels with right angles")
    cell = np.array([header.cella[name] for name in "xyz"], dtype=np.float64)
    intervals = np.array([header.mx, header.my, header.mz], dtype=np.float64)
    if not (np.isfinite(cell).all() and (cell >= 0).all() and (intervals >= 0).all()):
        raise FormatError(f"{path} has a cell of {cell} with {intervals} intervals")
    if not (cell > 0).any():
        return None
    sizes = cell / np.maximum(intervals, 1)
    if (intervals == 0).any() or sizes.max() - sizes.min() > _EQUAL * sizes.max():
        raise FormatError(
            f"{path} has voxels of {' × '.join(f'{size:.5g}' for size in sizes)}; expected cubes: "
            "resample it to one spacing along all axes"
        )
    return float(sizes.mean())


def _origin(path: Path, header: np.recarray) -> tuple[float, float, float] | None:
    """Return the voxel (x, y, z) of zero, None where both fields that could say it are zero."""
    origin = np.array([header.origin[name] for name in "xyz"], dtype=np.float64)
    start = np.array([header.nzstart, header.nystart, header.nxstart], dtype=np.float64)
    start = start[list(_order(path, header))]
    size = _spacing(path, header)
    if size is not None and np.isfinite(origin).all() and origin.any():
        found = 0.0 - origin / size
    elif start.any():
        found = 0.0 - start
    else:
        return None
    return float(found[0]), float(found[1]), float(found[2])
