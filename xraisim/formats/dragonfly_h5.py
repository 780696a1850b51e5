"""Dragonfly's HDF5 photons: ``num_pix`` and, per frame, vlen int32 lists.

``place_ones``: pixels with one photon; ``place_multi``, ``count_multi``: pixels with several, and
how many. ``make_data`` of dragonfly-spi 0.1.0 writes this layout whatever its file is called.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files.atomic import require_space, whole_file
from xraisim.files.global_heap import require_sound_heaps
from xraisim.files.held import read_whole, require_held
from xraisim.formats import counts
from xraisim.formats.base import ANYTHING, LARGEST_PATTERN, Append, Source, Target, Wanted
from xraisim.formats.known import Known

NAMES = ("place_ones", "place_multi", "count_multi")


def open_dragonfly_h5(path: Path, wanted: Wanted = ANYTHING) -> Source:
    """Open a file of Dragonfly HDF5 photons."""
    require_sound_heaps(path)
    file = h5py.File(path, "r")
    lists = [file[name] for name in NAMES if name in file]
    sizes = [len(values) for values in lists]
    if "num_pix" not in file or len(sizes) != 3 or len(set(sizes)) != 1:
        file.close()
        raise FormatError(
            f"{path}: expected num_pix and equally long {', '.join(NAMES)}; lengths are {sizes}"
        )
    pixels = _pixels(path, file)
    for values in lists:
        require_held(values)
        _require_lists(path, values)

    def read(start: int, stop: int) -> Photons:
        single, several, count = (values[start:stop] for values in lists)
        lengths = [_lengths(values) for values in (single, several)]
        if (_lengths(count) != lengths[1]).any():
            raise FormatError(
                f"{path}: frames {start} … {stop}: place_multi and count_multi differ in length"
            )
        rows = np.concatenate([np.repeat(np.arange(stop - start), n) for n in lengths])
        pixel = _flat([*single, *several])
        count = np.concatenate([np.ones(lengths[0].sum(), np.int64), _flat(count)])
        return counts.joined(rows, pixel, count, stop - start, pixels, str(path))

    extra = sorted(set(file) - {*NAMES, "num_pix"})
    notices = [f"left out of the pattern file: {', '.join(extra)}"] if extra else []
    return Source(
        path=path,
        patterns=sizes[0],
        known=Known(pixels=pixels),
        read=read,
        close=file.close,
        notices=notices,
    )


def _pixels(path: Path, file: h5py.File) -> int:
    found = read_whole(file["num_pix"])
    if found.dtype.kind in "iu" and found.size and found.min() > 0:
        pixels = math.prod(found.ravel().tolist())  # one number, or rows and columns
        if pixels <= LARGEST_PATTERN:
            return pixels
    raise FormatError(
        f"{path}: num_pix is {found.tolist()}; expected the number of pixels, from 1 to "
        f"{LARGEST_PATTERN}"
    )


def _require_lists(path: Path, values: h5py.Dataset) -> None:
    kind = h5py.check_vlen_dtype(values.dtype)
    if values.ndim != 1 or kind is None or np.dtype(kind).kind not in "iu":
        raise FormatError(
            f"{path}: {values.name} has shape {values.shape} and type {values.dtype}; expected a "
            "list of integers for each frame"
        )


def _lengths(rows: np.ndarray) -> np.ndarray:
    return np.fromiter((len(row) for row in rows), np.int64, len(rows))


def _flat(rows: list[np.ndarray] | np.ndarray) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *(row.astype(np.int64) for row in rows)])


def _write_rows(dataset: h5py.Dataset, start: int, values: np.ndarray, cut: np.ndarray) -> None:
    lengths = np.diff(cut)
    if not len(values):
        return
    if (lengths == lengths[0]).all():  # h5py takes an object array of these for a matrix
        dataset[start : start + len(lengths)] = values.reshape(len(lengths), -1)
        return
    rows = np.empty(len(lengths), object)
    rows[:] = np.split(values, cut[1:-1])
    dataset[start : start + len(lengths)] = rows


@contextmanager
def create_dragonfly_h5(path: Path, target: Target) -> Iterator[Append]:
    """Create a file of Dragonfly HDF5 photons."""
    with whole_file(path) as whole, h5py.File(whole, "w") as file:
        # one integer, not a scalar: dragonfly's own files have it so
        file["num_pix"] = np.array([target.pixels], np.int32)
        for name in NAMES:
            file.create_dataset(name, (target.patterns,), h5py.vlen_dtype(np.int32))
        done = 0

        def append(photons: Photons) -> None:
            nonlocal done
            photons = photons.summed()
            require_space(path, 8 * len(photons.pixel) + 48 * len(photons))
            single = photons.count == 1
            edges = np.concatenate([[0], np.cumsum(single)])[photons.offsets]
            others = photons.offsets - edges
            for name, values, cut in (
                ("place_ones", photons.pixel[single], edges),
                ("place_multi", photons.pixel[~single], others),
                ("count_multi", photons.count[~single], others),
            ):
                _write_rows(file[name], done, values.astype(np.int32), cut)
            done += len(photons)

        yield append
