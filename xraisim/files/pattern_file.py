"""One open pattern file of HDF5."""

import json
import os
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the compression filters with HDF5)
import numpy as np
from jaxtyping import Integer

from xraisim.core.admission import admit_detector, admit_photons
from xraisim.core.errors import FormatError, reading
from xraisim.core.types import Photons
from xraisim.files.atomic import is_partial
from xraisim.files.growing import open_growing
from xraisim.files.held import read_whole, require_held, require_readable
from xraisim.files.pattern_schema import (
    COUNT,
    FORMAT,
    LARGEST_COUNT,
    OFFSETS,
    PIXEL,
    READ_VERSIONS,
    SCALARS,
    TABLES,
    VERSION,
)
from xraisim.files.pixel_order import PixelOrder
from xraisim.files.texts import attribute, attributes

_DETECTOR = ("s", "gain", "background", "mask")
_RESCUE = "xrai-sim rescue says which chunks are damaged, and keeps the rest (--out)"
_ENTRIES = 2**24  # read at a time, before those of one pixel are added up
_CONSISTENCY_FLAGS = 11  # where they are in a superblock of version 2 or 3


class PatternFile:
    """A pattern file that is open for reading; raises :class:`FormatError` if it is not whole.

    ``n_patterns``, ``info`` as in :class:`PatternReader`; ``order``: of the usable
    pixels; ``shape`` of the detector; ``growing``: it is still being written, or was; ``inode``:
    its identity, which a rename keeps.
    """

    def __init__(self, path: Path) -> None:
        """Open ``path`` and read the detector."""
        self.path = path
        self.growing = is_partial(path)
        self._file = _open(path, self.growing)
        self.inode = os.fstat(self._file.id.get_vfd_handle()).st_ino
        try:
            with reading(path, "pattern file", "make it again"):
                self._load()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def refresh(self) -> None:
        """Look again how many patterns there are."""
        if self.growing:
            with reading(self.path, "pattern file"):
                for dataset in (self._offsets, self._pixel, self._count):
                    dataset.refresh()
                    require_held(dataset)
            self.n_patterns = len(self._offsets) - 1

    def same_experiment(self, other: "PatternFile") -> bool:
        """Whether detector, beam and configuration are the same."""
        return (
            all(
                np.array_equal(self._detector[n], other._detector[n], equal_nan=True)
                for n in _DETECTOR
            )
            and all(
                self.info["provenance"].get(name) == other.info["provenance"].get(name)
                for name in ("commitment", "config")
            )
            and all(self.info[key] == other.info[key] for key in SCALARS)
        )

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` with flat detector indices.

        What the file holds in several entries, as large counts, is one entry.
        """
        where = f"{self.path}: patterns {start} … {stop} hold impossible entries"
        try:
            offsets = self._offsets[start : stop + 1].astype(np.int64)
            first, last = int(offsets[0]), int(offsets[-1])
            if not 0 <= first <= last <= len(self._pixel):
                raise FormatError(f"{where}: {first} … {last} of {len(self._pixel)}; it is damaged")
            if (offsets[1:] < offsets[:-1]).any():
                raise FormatError(f"{where}: offsets that step back; it is damaged")
            parts = [
                self._read_entries(np.clip(offsets, at, at + _ENTRIES), where)
                for at in range(first, last, _ENTRIES) or [first]
            ]
        except OSError as error:
            raise FormatError(
                f"{self.path}: of patterns {start:,} … {stop - 1:,} some cannot be read "
                f"({error}); {_RESCUE}"
            ) from error
        if len(parts) == 1:
            return parts[0]
        photons = Photons(
            offsets=np.sum([part.offsets for part in parts], axis=0),
            pixel=np.concatenate([part.pixel for part in parts]),
            count=np.concatenate([part.count for part in parts]),
        ).summed()
        return admit_photons(
            photons.offsets, photons.pixel, photons.count, len(self.order.rank), where
        )

    def _read_entries(self, offsets: Integer[np.ndarray, "n1"], where: str) -> Photons:
        """Return the patterns between ``offsets``, of which each is whole or a part."""
        entries = slice(int(offsets[0]), int(offsets[-1]))
        pixels = len(self.order.rank)
        found = admit_photons(offsets, self._pixel[entries], self._count[entries], pixels, where)
        if found.count.max(initial=0) < LARGEST_COUNT:
            return found
        whole = found.summed()
        return admit_photons(whole.offsets, whole.pixel, whole.count, pixels, where)

    def _load(self) -> None:
        file = self._file
        try:
            self._offsets, self._pixel, self._count = (
                _whole_numbers(file, name) for name in (OFFSETS, PIXEL, COUNT)
            )
            require_readable(self._offsets)
            self.n_patterns = len(self._offsets) - 1
            ends = int(self._offsets[0]), int(self._offsets[-1])
            rows, columns = (int(n) for n in file["detector"].attrs["shape"])
            self.shape = rows, columns
            self.info = self._read_info()
            read = {name: read_whole(file["detector"][name]) for name in _DETECTOR}
            wavelength = self.info["wavelength_angstrom"]
            self._detector = admit_detector(read, self.shape, self.path, wavelength)
            self.order = PixelOrder.of(**self._detector, shape=self.shape)
        except (KeyError, OSError, ValueError, IndexError, TypeError, AttributeError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(
                f"{self.path}: incomplete pattern file ({error}); it may be truncated: "
                f"make it again, or {_RESCUE}"
            ) from error
        entries = len(self._pixel)
        whole = ends == (0, entries) and len(self._count) == entries
        begun = self.growing and 0 == ends[0] <= ends[1] <= min(entries, len(self._count))
        if self.n_patterns < 0 or not (whole or begun):
            raise FormatError(
                f"{self.path}: offsets run over {ends}, but there are {entries} pixel and "
                f"{len(self._count)} count entries; the file is truncated or damaged; {_RESCUE}"
            )

    def _read_info(self) -> dict[str, Any]:
        info: dict[str, Any] = {
            key: float(read_whole(self._file[name])) for key, name in SCALARS.items()
        }
        for key, value in info.items():
            if not (np.isfinite(value) and value > 0):
                raise FormatError(f"{self.path}: {key} is {value}; expected a positive number")
        info["detector_shape"] = self.shape
        told = attributes(self._file["provenance"])
        odd = [key for key, value in told.items() if isinstance(value, np.ndarray)]
        if odd:
            raise FormatError(f"{self.path}: provenance {odd[0]} is an array; expected one value")
        info["provenance"] = {
            key: json.loads(value) if key in TABLES else value for key, value in told.items()
        }
        return info


def _whole_numbers(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a row of whole numbers, unread."""
    found = file[name]
    if not (isinstance(found, h5py.Dataset) and found.ndim == 1 and found.dtype.kind in "iu"):
        raise ValueError(f"{name} is no row of whole numbers")
    require_held(found)
    return found


def _open(path: Path, growing: bool) -> h5py.File:
    advice = f"expected a pattern file of xrai-sim make. If it was one, {_RESCUE}"
    with reading(path, "HDF5 file", advice):
        file = open_growing(path) if growing else h5py.File(path, "r")
        found, version = attribute(file, "format"), attribute(file, "version")
        ours = bool(found == FORMAT and version in READ_VERSIONS)
    if not ours:
        file.close()
        what = f"format {found!r}, version {version}" if found else "an HDF5 file without a format"
        raise FormatError(
            f"{path}: found {what}; expected {FORMAT!r}, version {VERSION}, as written by "
            "xrai-sim make"
        )
    return file


def is_marked_open(path: Path) -> bool:
    """Whether HDF5's mark says that a writer has the file open; a killed one leaves it so.

    The file consistency flags of the superblock (HDF5 File Format Specification 3.0, II.A).
    """
    with path.open("rb") as file:
        start = file.read(_CONSISTENCY_FLAGS + 1)
    return len(start) > _CONSISTENCY_FLAGS and start[_CONSISTENCY_FLAGS] != 0
