"""What a damaged pattern file still holds: its whole chunks, and the patterns that lie in them.

Chunks carry checksums (files of before have none; there only the compression tells). A truncated
file is read as if it went on with zeros, which no chunk is.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the compression filters with HDF5)
import numpy as np
from jaxtyping import Bool, Int64, Integer

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files.atomic import whole_file
from xraisim.files.pattern_schema import COUNT, FORMAT, OFFSETS, PIXEL, VERSION
from xraisim.files.photon_tables import PhotonTables
from xraisim.files.texts import attributes, describe, plain

NUMBERS = "rescued/numbers"
_GROUPS = ("detector", "beam", "particle", "provenance")
_BLOCK = 2**12
_UNREADABLE = (OSError, RuntimeError, KeyError, ValueError)
_SIGNATURE, _END_OF_FILE = b"\x89HDF\r\n\x1a\n", slice(28, 36)  # in a superblock of version 2 or 3


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A chunk that cannot be read: ``values`` of a dataset; at ``byte``, −1 where that is lost."""

    dataset: str
    chunk: int
    values: range
    byte: int

    def __str__(self) -> str:
        where = f"at byte {self.byte:,}" if self.byte >= 0 else "not found"
        return (
            f"{self.dataset}, chunk {self.chunk} ({where}): values {self.values.start:,} … "
            f"{self.values.stop - 1:,}"
        )


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is left of a file of ``patterns``: those that are ``whole``, and what is not."""

    patterns: int
    damages: tuple[Damage, ...]
    whole: Bool[np.ndarray, "N"]


def survey(path: Path) -> Survey:
    """Read every chunk of the photons; raises :class:`FormatError` if nothing can be opened."""
    with _opened(path) as file:
        return _survey(file)


def rescue(path: Path, out: Path) -> Survey:
    """Write the patterns of ``path`` that are whole to ``out``, and their numbers beside them.

    Raises :class:`FormatError` if none is, or the detector is damaged too.
    """
    if path.resolve() == out.resolve():
        raise FormatError(f"{out}: source and target are the same file; write to another name")
    with _opened(path) as file:
        found = _survey(file)
        if not found.whole.any():
            raise FormatError(f"{path}: no pattern is whole; make the file again")
        with whole_file(out) as partial, h5py.File(partial, "w", libver="latest") as target:
            _copy_about(path, file, target)
            pixels = len(target["detector/mask"])
            tables = PhotonTables(target, out, pixels)
            for start in range(0, found.patterns, _BLOCK):
                for first, stop in _runs(found.whole[start : start + _BLOCK]):
                    tables.append(_read(file, start + first, start + stop))
            tables.finish()
            target[NUMBERS] = np.flatnonzero(found.whole)
            if "patterns" in target["provenance"].attrs:
                describe(target["provenance"], {"patterns": int(found.whole.sum())})
            describe(target[NUMBERS], {"units": "number of the pattern in the damaged file"})
    return found


def _survey(file: h5py.File) -> Survey:
    offsets, damages = _readable_offsets(file)
    entry_whole = np.ones(len(file[PIXEL]), bool)
    for name in (PIXEL, COUNT):
        bad = [one for one, values in _chunks(file[name]) if values is None]
        for one in bad:
            entry_whole[one.values.start : one.values.stop] = False
        damages += bad
    known = (offsets[:-1] >= 0) & (np.diff(offsets) >= 0) & (offsets[1:] <= len(entry_whole))
    lost = np.concatenate([[0], np.cumsum(~entry_whole)])
    starts, stops = np.where(known, offsets[:-1], 0), np.where(known, offsets[1:], 0)
    whole = known & (lost[stops] == lost[starts])
    return Survey(patterns=len(whole), damages=tuple(damages), whole=whole)


def _readable_offsets(file: h5py.File) -> tuple[Int64[np.ndarray, "n1"], list[Damage]]:
    """Return the offsets, −1 where they are lost, and the chunks that were lost."""
    offsets, damages = np.full(len(file[OFFSETS]), -1, np.int64), []
    for one, values in _chunks(file[OFFSETS]):
        if values is None:
            damages.append(one)
        else:
            offsets[one.values.start : one.values.stop] = values
    return offsets, damages


def _chunks(dataset: h5py.Dataset) -> Iterator[tuple[Damage, Integer[np.ndarray, "_"] | None]]:
    """Yield every chunk with its values; None if they cannot be read."""
    size = dataset.chunks[0]
    for number, start in enumerate(range(0, len(dataset), size)):
        values, byte = None, -1
        stop = min(start + size, len(dataset))
        try:
            place = dataset.id.get_chunk_info_by_coord((start,)).byte_offset
            if place is not None:  # else it was never written, and would be read as zeros
                byte = place
                values = dataset[start:stop]
        except _UNREADABLE:
            pass
        about = Damage(
            dataset=dataset.name.strip("/"), chunk=number, values=range(start, stop), byte=byte
        )
        yield about, values


def _read(file: h5py.File, first: int, stop: int) -> Photons:
    offsets = file[OFFSETS][first : stop + 1]
    entries = slice(offsets[0], offsets[-1])
    return Photons(
        offsets=offsets - offsets[0],
        pixel=file[PIXEL][entries].astype(np.int32),
        count=file[COUNT][entries].astype(np.int32),
    )


def _runs(whole: Bool[np.ndarray, "n"]) -> list[tuple[int, int]]:
    """Return (first, stop) of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], whole.astype(np.int8), [0]])))
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]


def _copy_about(path: Path, file: h5py.File, target: h5py.File) -> None:
    """Copy what is known of the experiment."""
    describe(target, {"format": FORMAT, "version": VERSION})
    for name in _GROUPS:
        try:
            file.copy(name, target, without_attrs=True)
            describe(target[name], attributes(file[name]))
            for inner, item in target[name].items():
                describe(item, attributes(file[name][inner]))
            _read_all(target[name])
        except _UNREADABLE as error:
            raise FormatError(
                f"{path}: {name} is damaged ({error}), and the photons mean nothing without it; "
                "take it from a copy, or make the file again"
            ) from error
    describe(target["provenance"], {"rescued_from": path.name})


def _read_all(group: h5py.Group) -> None:
    """Read every dataset of a group: a copy takes damaged chunks along unseen."""
    for item in group.values():
        if isinstance(item, h5py.Dataset):
            item[()]


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open a pattern file however long it still is."""
    with path.open("rb") as stored:
        try:
            file = h5py.File(_Prolonged(stored), "r")
        except _UNREADABLE as error:
            raise FormatError(
                f"{path}: the first bytes are damaged too ({error}), nothing can be found in it; "
                "make the file again"
            ) from error
        with file:
            try:
                if plain(file.attrs["format"]) != FORMAT or not all(
                    isinstance(file[name], h5py.Dataset) for name in (OFFSETS, PIXEL, COUNT)
                ):
                    raise KeyError("format")
            except _UNREADABLE as error:
                raise FormatError(
                    f"{path}: no pattern file, or the list of its datasets is damaged ({error}); "
                    "make the file again"
                ) from error
            yield file


class _Prolonged(io.RawIOBase):
    """A file that goes on with zeros to the length that it says it has."""

    def __init__(self, stored: io.BufferedReader) -> None:
        self._stored, self._position = stored, 0
        start = stored.read(_END_OF_FILE.stop)
        self._there = stored.seek(0, io.SEEK_END)
        said = int.from_bytes(start[_END_OF_FILE], "little")
        # Not believed where a file would be a hundred times as long as it is.
        sane = start.startswith(_SIGNATURE) and said <= 100 * max(self._there, 2**20)
        self._length = max(self._there, said) if sane else self._there

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begins = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}
        self._position = begins[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(self._length - self._position, 0))
        self._stored.seek(min(self._position, self._there))
        found = self._stored.read(wanted)
        buffer[:wanted] = found + bytes(wanted - len(found))
        self._position += wanted
        return wanted
