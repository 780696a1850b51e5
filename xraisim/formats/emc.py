"""Dragonfly's binary ``.emc`` files: sparse, dense int32 and dense float64 (Ayyer et al. 2016).

Little-endian. A header of 256 int32: frames, pixels, type (0 sparse, 1 dense int32, 2 dense
float64). Sparse: ones[N], multi[N] (pixels with one and with several photons), then all
place_ones, place_multi, count_multi, int32. Dense: frames × pixels values.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files.atomic import require_space, whole_file
from xraisim.formats import counts
from xraisim.formats.base import ANYTHING, Append, Read, Source, Target, Wanted
from xraisim.formats.known import Known

HEADER_BYTES = 1024
SPARSE, DENSE_INT, DENSE_DOUBLE = 0, 1, 2
DENSE_TYPES: dict[int, np.dtype] = {DENSE_INT: np.dtype("<i4"), DENSE_DOUBLE: np.dtype("<f8")}
_I4 = np.dtype("<i4")


def read_header(path: Path) -> tuple[int, int, int]:
    """Return frames, pixels and type; raises :class:`FormatError` if they are impossible."""
    header = np.fromfile(path, _I4, 256)
    if len(header) < 256:
        raise FormatError(f"{path}: {path.stat().st_size} bytes; an .emc file starts with 1024")
    frames, pixels, kind = (int(n) for n in header[:3])
    if frames < 0 or pixels < 1 or kind not in (SPARSE, DENSE_INT, DENSE_DOUBLE):
        raise FormatError(
            f"{path}: the .emc header says {frames} frames of {pixels} pixels, type {kind}; "
            "expected positive numbers and type 0 (sparse), 1 (dense int) or 2 (dense double)"
        )
    return frames, pixels, kind


def is_emc(path: Path) -> bool:
    """Return whether the header is possible and the size of the file follows from it."""
    try:
        frames, pixels, kind = read_header(path)
        _require_size(path, frames, pixels, kind)
    except FormatError:
        return False
    return True


def _require_size(path: Path, frames: int, pixels: int, kind: int) -> None:
    size, expected = path.stat().st_size, HEADER_BYTES + 8 * frames
    if kind != SPARSE:
        expected = HEADER_BYTES + frames * pixels * DENSE_TYPES[kind].itemsize
    elif size >= expected:
        entries = np.fromfile(path, _I4, 2 * frames, offset=HEADER_BYTES).reshape(2, -1)
        ones, multi = entries.sum(1, dtype=np.int64)
        expected += 4 * int(ones + 2 * multi)
    if size != expected:
        raise FormatError(
            f"{path}: {size} bytes, but {frames} frames of type {kind} need {expected}; "
            "the file is truncated, damaged or not an .emc file"
        )


def open_emc(path: Path, wanted: Wanted = ANYTHING) -> Source:
    """Open an ``.emc`` file of any of the three types."""
    frames, pixels, kind = read_header(path)
    _require_size(path, frames, pixels, kind)
    if kind == SPARSE:
        read = _sparse_reader(path, frames, pixels)
    else:
        read = _dense_reader(path, frames, pixels, DENSE_TYPES[kind])
    return Source(path=path, patterns=frames, known=Known(pixels=pixels), read=read)


def _dense_reader(path: Path, frames: int, pixels: int, dtype: np.dtype) -> Read:
    def read(start: int, stop: int) -> Photons:
        offset = HEADER_BYTES + start * pixels * dtype.itemsize
        values = np.fromfile(path, dtype, (stop - start) * pixels, offset=offset)
        return counts.sparse(values.reshape(stop - start, pixels), start, str(path))

    return read


def _sparse_reader(path: Path, frames: int, pixels: int) -> Read:
    table = np.fromfile(path, _I4, 2 * frames, offset=HEADER_BYTES).reshape(2, frames)
    if (table < 0).any():
        raise FormatError(f"{path}: negative numbers of lit pixels; the file is damaged")
    ones, multi = (np.concatenate([[0], np.cumsum(row, dtype=np.int64)]) for row in table)
    base = HEADER_BYTES + 8 * frames
    place_multi, count_multi = base + 4 * ones[-1], base + 4 * (ones[-1] + multi[-1])

    def entries(offset: int, edges: np.ndarray, start: int, stop: int) -> np.ndarray:
        count = int(edges[stop] - edges[start])
        return np.fromfile(path, _I4, count, offset=int(offset + 4 * edges[start]))

    def read(start: int, stop: int) -> Photons:
        single = entries(base, ones, start, stop)
        several = entries(place_multi, multi, start, stop)
        count = entries(count_multi, multi, start, stop)
        pixel = np.concatenate([single, several])
        number = np.arange(stop - start)
        rows = np.concatenate([np.repeat(number, table[k, start:stop]) for k in (0, 1)])
        count = np.concatenate([np.ones_like(single), count])
        return counts.joined(rows, pixel, count, stop - start, pixels, str(path))

    return read


def _header(target: Target, kind: int) -> bytes:
    if max(target.patterns, target.pixels) > counts.LARGEST:
        raise FormatError("an .emc file counts frames and pixels in int32; write several files")
    header = np.zeros(256, _I4)
    header[:3] = target.patterns, target.pixels, kind
    return header.tobytes()


@contextmanager
def create_sparse(path: Path, target: Target) -> Iterator[Append]:
    """Create a sparse ``.emc`` file; its sections are spooled beside it and joined at the end."""
    with whole_file(path) as whole, ExitStack() as stack:
        require_space(path, HEADER_BYTES)
        lengths: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        spools: list[IO[bytes]] = [
            stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) for _ in range(3)
        ]

        def append(photons: Photons) -> None:
            photons = photons.summed()
            rows, single = photons.rows(), photons.count == 1
            for kept, chosen in zip(lengths, (single, ~single), strict=True):
                kept.append(np.bincount(rows[chosen], minlength=len(photons)).astype(_I4))
            for spool, values in zip(
                spools,
                (photons.pixel[single], photons.pixel[~single], photons.count[~single]),
                strict=True,
            ):
                spool.write(values.astype(_I4).tobytes())

        yield append
        with open(whole, "wb") as file:
            file.write(_header(target, SPARSE))
            for kept in lengths:
                file.write(np.concatenate([[], *kept]).astype(_I4).tobytes())
            for spool in spools:
                spool.seek(0)
                shutil.copyfileobj(spool, file)


@contextmanager
def create_dense(path: Path, target: Target, kind: int) -> Iterator[Append]:
    """Create a dense ``.emc`` file of ``kind`` 1 (int32) or 2 (float64)."""
    with whole_file(path) as whole, open(whole, "wb") as file:
        dtype = DENSE_TYPES[kind]
        require_space(path, HEADER_BYTES + target.patterns * target.pixels * dtype.itemsize)
        file.write(_header(target, kind))

        def append(photons: Photons) -> None:
            file.write(counts.dense(photons, target.pixels).astype(dtype).tobytes())

        yield append
