"""Plain stacks of frames: NumPy ``.npy`` and ``.npz``, and any HDF5 dataset.

Frames are [N, rows, columns], [N, panels, rows, columns] or [N, pixels]; the last two axes are kept
as the detector's shape, panels below one another. A dataset or member called ``mask`` of a frame's
shape is the mask, non-zero where a pixel is unused; of the stack's shape, in any frame.
"""

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from xraisim.core import npy
from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files.atomic import require_space, whole_file
from xraisim.formats import counts, hdf5
from xraisim.formats.base import ANYTHING, Append, Source, Target, Wanted
from xraisim.formats.frames import append_frames
from xraisim.formats.known import Known

_KEY = "patterns"
_MASK_VALUES = 2**24  # of a mask for each frame, read at a time


def _source(
    path: Path, data: Any, mask: np.ndarray | None, close: Callable[[], None], notices: list[str]
) -> Source:
    if len(data.shape) < 2:
        raise FormatError(f"{path}: an array of shape {data.shape}; expected frames stacked")
    frame = data.shape[1:]
    shape = (math.prod(frame[:-1]), frame[-1]) if len(frame) > 1 else None

    def read(start: int, stop: int) -> Photons:
        return counts.sparse(np.asarray(data[start:stop]), start, str(path), mask)

    return Source(
        path=path,
        patterns=data.shape[0],
        known=Known(pixels=math.prod(frame), shape=shape, panels=math.prod(frame[:-2]), mask=mask),
        read=read,
        close=close,
        notices=notices,
    )


def _left_out(names: set[str]) -> list[str]:
    return [f"left out of the pattern file: {', '.join(sorted(names))}"] if names else []


class _File:
    """An array in a ``.npy`` file, read in blocks (not mapped: mapped pages count as memory)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with open(path, "rb") as file:
            self.shape, self.dtype = _read_header(file, path)
            self._start = file.tell()

    def __getitem__(self, rows: slice) -> np.ndarray:
        row = math.prod(self.shape[1:])
        offset = self._start + rows.start * row * self.dtype.itemsize
        there = max(self._path.stat().st_size - offset, 0) // self.dtype.itemsize
        count = min((rows.stop - rows.start) * row, there)  # a header may promise any number
        values = np.fromfile(self._path, self.dtype, count, offset=offset)
        return _frames(values, rows, self.shape, self._path)


class _Member:
    """An array in an ``.npz`` archive, read front to back in blocks without loading it whole."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive, self._name = archive, name
        self._open()

    def _open(self) -> None:
        self._file: IO[bytes] = self._archive.open(self._name)
        self.shape, self.dtype = _read_header(self._file, self._name)
        self._at, self._row = 0, math.prod(self.shape[1:]) * self.dtype.itemsize

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
    try:
        header = npy.read_header(file)
    except ValueError as error:
        raise FormatError(f"{where}: not a readable .npy array ({error})") from error
    if header.fortran:
        raise FormatError(f"{where}: not a C-ordered numeric array; save it again as one")
    return header.shape, header.dtype


def _frames(
    values: np.ndarray, rows: slice, shape: tuple[int, ...], where: Path | str
) -> np.ndarray:
    frames = rows.stop - rows.start
    if len(values) != frames * math.prod(shape[1:]):
        raise FormatError(f"{where}: ends before frame {rows.stop}; the file is truncated")
    return values.reshape(frames, *shape[1:])


def open_npy(path: Path, wanted: Wanted = ANYTHING) -> Source:
    """Open a ``.npy`` file."""
    return _source(path, _File(path), None, lambda: None, [])


def open_npz(path: Path, wanted: Wanted = ANYTHING) -> Source:
    """Open an ``.npz`` archive; ``dataset`` names the array if there are several stacks."""
    archive = zipfile.ZipFile(path)
    members = {n.removesuffix(".npy"): _Member(archive, n) for n in archive.namelist()}
    shapes = {name: member.shape for name, member in members.items()}
    name = _choose(path, shapes, wanted.dataset)
    mask = None
    notices: list[str] = []
    if "mask" in members and name != "mask" and shapes["mask"]:
        mask = _as_mask(members["mask"], shapes[name], notices)
    left = set(members) - {name} - ({"mask"} if mask is not None else set())
    return _source(path, members[name], mask, archive.close, _left_out(left) + notices)


def open_h5(path: Path, wanted: Wanted = ANYTHING) -> Source:
    """Open a stack in an HDF5 file; ``dataset`` is its path if there are several."""
    file = h5py.File(path, "r")
    try:
        name, left = _find(path, file, wanted.dataset)
        data = hdf5.member(file, name)
        beside = f"{name.rpartition('/')[0]}/mask".strip("/")
        mask: np.ndarray | None = None
        notices: list[str] = []
        found = hdf5.member(file, beside)
        if isinstance(found, h5py.Dataset) and name != beside:
            mask = _as_mask(found, data.shape, notices)
            if mask is not None:
                left -= {beside}
                stacked = found.shape == data.shape
                one = found.shape[1:] if stacked else found.shape
                mask = hdf5.mask_gaps(found, one, mask, wanted, notices)
        mask = hdf5.mask_gaps(data, data.shape[1:], mask, wanted, notices)
        return _source(path, data, mask, file.close, _left_out(left) + notices)
    except BaseException:
        file.close()
        raise


def _find(path: Path, file: h5py.File, wanted: str | None) -> tuple[str, set[str]]:
    """Return where the frames are, and the names of the other data sets."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            shapes[name] = item.shape

    file.visititems(note)
    if wanted is not None:
        wanted = wanted.strip("/")
        note(wanted, hdf5.member(file, wanted))  # which may be a link, that a visit does not follow
    name = _choose(path, shapes, wanted)
    return name, set(shapes) - {name}


def _choose(path: Path, shapes: dict[str, tuple[int, ...]], wanted: str | None) -> str:
    """Return the dataset asked for, or the only stack of frames."""
    found = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
    if wanted is not None:
        if wanted in shapes:
            return wanted
        raise FormatError(f"{path}: no dataset {wanted}; found {found}")
    stacks = [name for name, shape in shapes.items() if len(shape) > 2]
    others = [name for name in stacks if name.rpartition("/")[2] != "mask"]
    if len(others) == 1:
        return others[0]
    if len(stacks) != 1:
        raise FormatError(
            f"{path}: {len(stacks)} stacks of frames, one is needed; name it with --dataset. "
            f"Found: {found}"
        )
    return stacks[0]


def _as_mask(values: Any, shape: tuple[int, ...], notices: list[str]) -> np.ndarray | None:
    """Return a mask of the frames' size, or None for an array that is something else.

    Of a mask for each frame, what is flagged in any is masked in all.
    """
    pixels = math.prod(shape[1:])
    stacked = values.shape == shape
    fits = values.shape and (stacked or math.prod(values.shape) == pixels)
    if not fits or values.dtype.kind not in "biuf":
        return None
    some, everywhere = np.zeros(pixels, bool), np.ones(pixels, bool)
    step = max(1, _MASK_VALUES // max(1, pixels)) if stacked else values.shape[0]
    for start in range(0, values.shape[0], step):
        flagged = np.asarray(values[start : min(start + step, values.shape[0])]) != 0
        flagged = flagged.reshape(-1, pixels)
        some |= flagged.any(0)
        everywhere &= flagged.all(0)
    moving = int((some & ~everywhere).sum())
    if moving:
        notices.append(f"{moving} pixels are masked in some frames only; they are masked in all")
    return some


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
