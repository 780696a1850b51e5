"""Plain stacks of frames: NumPy ``.npy`` and ``.npz``, and any HDF5 dataset.

Frames are [N, rows, columns], [N, panels, rows, columns] or [N, pixels]; the last two axes are kept
as the detector's shape, panels below one another. A dataset or member called ``mask`` of a frame's
size is the mask, non-zero where a pixel is unused.
"""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files.atomic import require_space, whole_file
from xraisim.formats import counts
from xraisim.formats.base import Append, Source, Target
from xraisim.formats.experiment import Known
from xraisim.formats.frames import append_frames

_KEY = "patterns"


def _source(
    path: Path, data: Any, mask: np.ndarray | None, close: Callable[[], None], left: list[str]
) -> Source:
    if len(data.shape) < 2:
        raise FormatError(f"{path}: an array of shape {data.shape}; expected frames stacked")
    frame = data.shape[1:]
    shape = (int(np.prod(frame[:-1])), int(frame[-1])) if len(frame) > 1 else None

    def read(start: int, stop: int) -> Photons:
        return counts.sparse(np.asarray(data[start:stop]), start, str(path), mask)

    return Source(
        path=path,
        patterns=data.shape[0],
        known=Known(pixels=int(np.prod(frame)), shape=shape, mask=mask),
        read=read,
        close=close,
        notices=[f"left out of the pattern file: {', '.join(left)}"] if left else [],
    )


class _File:
    """An array in a ``.npy`` file, read in blocks (not mapped: mapped pages count as memory)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with open(path, "rb") as file:
            self.shape, self.dtype = _read_header(file, path)
            self._start = file.tell()

    def __getitem__(self, rows: slice) -> np.ndarray:
        row = int(np.prod(self.shape[1:]))
        offset = self._start + rows.start * row * self.dtype.itemsize
        values = np.fromfile(self._path, self.dtype, (rows.stop - rows.start) * row, offset=offset)
        return _frames(values, rows, self.shape, self._path)


class _Member:
    """An array in an ``.npz`` archive, read front to back in blocks without loading it whole."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive, self._name = archive, name
        self._open()

    def _open(self) -> None:
        self._file: IO[bytes] = self._archive.open(self._name)
        self.shape, self.dtype = _read_header(self._file, self._name)
        self._at, self._row = 0, int(np.prod(self.shape[1:])) * self.dtype.itemsize

    def __getitem__(self, rows: slice) -> np.ndarray:
        if rows.start != self._at:
            self._open()
            self._skip(rows.start * self._row)
        data = self._file.read((rows.stop - rows.start) * self._row)
        self._at = rows.stop
        whole = data[: len(data) // self.dtype.itemsize * self.dtype.itemsize]
        return _frames(np.frombuffer(whole, self.dtype), rows, self.shape, self._name)

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._file.read(min(size, 2**24)))


def _read_header(file: IO[bytes], where: Path | str) -> tuple[tuple[int, ...], np.dtype]:
    """Read the header of the NPY format; raises :class:`FormatError`."""
    read = np.lib.format.read_array_header_1_0
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except ValueError as error:
        raise FormatError(f"{where}: not a readable .npy array ({error})") from error
    if fortran or dtype.hasobject:
        raise FormatError(f"{where}: not a C-ordered numeric array; save it again as one")
    return shape, dtype


def _frames(
    values: np.ndarray, rows: slice, shape: tuple[int, ...], where: Path | str
) -> np.ndarray:
    frames = rows.stop - rows.start
    if len(values) != frames * int(np.prod(shape[1:])):
        raise FormatError(f"{where}: ends before frame {rows.stop}; the file is truncated")
    return values.reshape(frames, *shape[1:])


def open_npy(path: Path, dataset: str | None = None) -> Source:
    """Open a ``.npy`` file."""
    return _source(path, _File(path), None, lambda: None, [])


def open_npz(path: Path, dataset: str | None = None) -> Source:
    """Open an ``.npz`` archive; ``dataset`` names the array if there are several stacks."""
    archive = zipfile.ZipFile(path)
    members = {n.removesuffix(".npy"): _Member(archive, n) for n in archive.namelist()}
    shapes = {name: member.shape for name, member in members.items()}
    name = _choose(path, shapes, dataset)
    mask = None
    if "mask" in members and name != "mask":
        mask = _as_mask(members["mask"][0 : shapes["mask"][0]], shapes[name])
    left = sorted(set(members) - {name} - ({"mask"} if mask is not None else set()))
    return _source(path, members[name], mask, archive.close, left)


def open_h5(path: Path, dataset: str | None = None) -> Source:
    """Open a stack in an HDF5 file; ``dataset`` is its path if there are several."""
    file = h5py.File(path, "r")
    try:
        shapes: dict[str, tuple[int, ...]] = {}
        file.visititems(
            lambda name, item: (
                shapes.update({name: item.shape}) if isinstance(item, h5py.Dataset) else None
            )
        )
        name = _choose(path, shapes, dataset and dataset.strip("/"))
        beside = f"{name.rpartition('/')[0]}/mask".strip("/")
        mask = _as_mask(file[beside][()], shapes[name]) if beside in shapes else None
        left = sorted(set(shapes) - {name} - ({beside} if mask is not None else set()))
        return _source(path, file[name], mask, file.close, left)
    except BaseException:
        file.close()
        raise


def _choose(path: Path, shapes: dict[str, tuple[int, ...]], wanted: str | None) -> str:
    """Return the dataset asked for, or the only stack of frames."""
    found = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
    if wanted is not None:
        if wanted in shapes:
            return wanted
        raise FormatError(f"{path}: no dataset {wanted}; found {found}")
    stacks = [name for name, shape in shapes.items() if len(shape) > 2]
    if len(stacks) != 1:
        raise FormatError(
            f"{path}: {len(stacks)} stacks of frames, one is needed; name it with --dataset. "
            f"Found: {found}"
        )
    return stacks[0]


def _as_mask(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    mask = np.asarray(values).ravel() != 0
    return mask if len(mask) == int(np.prod(shape[1:])) else None


def _size(target: Target) -> int:
    return 4 * target.patterns * target.pixels


@contextmanager
def create_npy(path: Path, target: Target) -> Iterator[Append]:
    """Create a ``.npy`` stack of int32 frames."""
    with whole_file(path) as whole, open(whole, "wb") as file:
        require_space(path, _size(target))
        yield _append_npy(file, target)


@contextmanager
def create_npz(path: Path, target: Target) -> Iterator[Append]:
    """Create a compressed ``.npz`` with ``patterns`` and, if known, ``mask``."""
    with whole_file(path) as whole, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        if target.experiment is not None:
            with archive.open("mask.npy", "w") as file:
                np.lib.format.write_array(
                    file, target.experiment.detector.mask.reshape(target.shape).astype(np.uint8)
                )
        with archive.open(f"{_KEY}.npy", "w", force_zip64=True) as file:
            yield _append_npy(file, target)


def _append_npy(file: IO[bytes], target: Target) -> Append:
    header = {"descr": "<i4", "fortran_order": False, "shape": (target.patterns, *target.shape)}
    np.lib.format.write_array_header_2_0(file, header)

    def append(photons: Photons) -> None:
        file.write(counts.dense(photons, target.pixels).astype("<i4").tobytes())

    return append


@contextmanager
def create_h5(path: Path, target: Target) -> Iterator[Append]:
    """Create an HDF5 file with ``patterns`` (int32, gzip) and, if known, ``mask``."""
    with whole_file(path) as whole, h5py.File(whole, "w") as file:
        append = append_frames(path, file, _KEY, target, ())
        if target.experiment is not None:
            mask = target.experiment.detector.mask.reshape(target.shape)
            file["mask"] = mask.astype(np.uint8)
        yield append
