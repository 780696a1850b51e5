"""The photons of a pattern file: growing datasets, chunk by whole chunk, each with a checksum."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from jaxtyping import Int

from xraisim.core.types import Photons
from xraisim.files.atomic import require_space
from xraisim.files.pattern_schema import COUNT, LARGEST_COUNT, OFFSETS, PIXEL, UNITS
from xraisim.files.texts import describe

_ENTRY_CHUNK, _OFFSET_CHUNK = 2**18, 2**11
_SPLIT_ENTRIES = 2**22


class PhotonTables:
    """Appends patterns to the datasets of an open file; ``path``: its name in messages.

    Every chunk is compressed and carries HDF5's Fletcher-32 checksum.
    """

    def __init__(self, file: h5py.File, path: Path, pixels: int) -> None:
        """Create the datasets for a detector of ``pixels``."""
        self._file, self._path, self._waiting = file, path, _Waiting()
        compression = hdf5plugin.Blosc2(cname="zstd", clevel=1, filters=hdf5plugin.Blosc2.SHUFFLE)
        index = np.uint16 if pixels <= 2**16 else np.uint32
        for name, dtype, chunk in (
            (PIXEL, index, _ENTRY_CHUNK),
            (COUNT, np.uint8, _ENTRY_CHUNK),
            (OFFSETS, np.int64, _OFFSET_CHUNK),
        ):
            made = file.create_dataset(
                name, (0,), dtype, maxshape=(None,), chunks=(chunk,), compression=compression,
                fletcher32=True,
            )  # fmt: skip
            describe(made, {"units": UNITS[name]})
        file[OFFSETS].resize((1,))

    def append(self, photons: Photons) -> None:
        """Append a block; what does not fill a chunk waits."""
        for some in _bounded(photons):
            self._waiting.add(split_large_counts(some))
            self._write(self._waiting.whole_chunks(len(self._file[OFFSETS])))

    def finish(self) -> None:
        """Write what waits."""
        self._write(self._waiting.rest())

    def _write(self, ready: dict[str, Int[np.ndarray, "_"]]) -> None:
        """Append to the datasets, the offsets last: they announce what is there."""
        require_space(self._path, sum(values.nbytes for values in ready.values()))
        for name in (PIXEL, COUNT, OFFSETS):
            values, dataset = ready[name], self._file[name]
            if len(values):
                start = len(dataset)
                dataset.resize((start + len(values),))
                dataset[start:] = values.astype(dataset.dtype)
                dataset.flush()


class _Waiting:
    """Entries and offsets that do not fill a chunk yet."""

    def __init__(self) -> None:
        self._entries = 0  # of all patterns appended so far
        self._held: dict[str, Int[np.ndarray, "_"]] = {
            PIXEL: np.empty(0, np.int32),
            COUNT: np.empty(0, np.int32),
            OFFSETS: np.empty(0, np.int64),
        }

    def add(self, photons: Photons) -> None:
        """Take a block of patterns."""
        added = {PIXEL: photons.pixel, COUNT: photons.count}
        added[OFFSETS] = photons.offsets[1:] + self._entries
        self._held = {name: np.concatenate([self._held[name], added[name]]) for name in added}
        self._entries += len(photons.pixel)

    def whole_chunks(self, offsets_written: int) -> dict[str, Int[np.ndarray, "_"]]:
        """Give what fills chunks, and no offset of an entry that waits."""
        entries = len(self._held[PIXEL]) // _ENTRY_CHUNK * _ENTRY_CHUNK
        left = len(self._held[PIXEL]) - entries
        announced = np.searchsorted(self._held[OFFSETS], self._entries - left, side="right")
        stop = (offsets_written + int(announced)) // _OFFSET_CHUNK * _OFFSET_CHUNK
        return self._take(entries, max(0, stop - offsets_written))

    def rest(self) -> dict[str, Int[np.ndarray, "_"]]:
        """Give everything."""
        return self._take(len(self._held[PIXEL]), len(self._held[OFFSETS]))

    def _take(self, entries: int, offsets: int) -> dict[str, Int[np.ndarray, "_"]]:
        lengths = {PIXEL: entries, COUNT: entries, OFFSETS: offsets}
        given = {name: values[: lengths[name]] for name, values in self._held.items()}
        self._held = {name: values[lengths[name] :] for name, values in self._held.items()}
        return given


def _bounded(photons: Photons) -> Iterator[Photons]:
    """Yield the block in parts that stay small when large counts become several entries."""
    if photons.count.max(initial=0) <= LARGEST_COUNT:
        yield photons
        return
    copies = np.concatenate([[0], np.cumsum(-(-photons.count // LARGEST_COUNT), dtype=np.int64)])
    part = copies[photons.offsets[:-1]] // _SPLIT_ENTRIES  # by the place of the first entry
    for rows in np.split(np.arange(len(photons)), np.flatnonzero(np.diff(part)) + 1):
        yield photons.take(rows)


def split_large_counts(photons: Photons) -> Photons:
    """Return the block with every count above 255 as repeated entries of its pixel."""
    if photons.count.max(initial=0) <= LARGEST_COUNT:
        return photons
    copies = -(-photons.count // LARGEST_COUNT)
    last = np.cumsum(copies)
    count = np.full(last[-1], LARGEST_COUNT, photons.count.dtype)
    count[last - 1] = photons.count - (copies - 1) * LARGEST_COUNT
    entries = np.concatenate([[0], last])
    return Photons(
        offsets=entries[photons.offsets], pixel=np.repeat(photons.pixel, copies), count=count
    )
