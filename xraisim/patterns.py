"""The pattern file: reading it. Sparse patterns, detector and beam; never any truth."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the compression filters with HDF5)
import numpy as np
import torch

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons, Pixels
from xraisim.pattern_schema import COUNT, FORMAT, OFFSETS, PIXEL, SCALARS, VERSION
from xraisim.pattern_writer import PatternWriter

__all__ = ["PatternReader", "PatternWriter"]


class PatternReader:
    """An open pattern file; reads blocks of patterns, and nothing else until it is asked to.

    ``n_patterns``; ``pixels``: the usable pixels sorted by |s| (:class:`Pixels`); ``info``: what a
    beamline knows (``photon_energy_ev``, ``wavelength_angstrom``, ``fluence_photons_per_um2``,
    ``particle_diameter_angstrom``, ``detector_shape``, and the ``provenance`` mapping).
    Raises :class:`FormatError` if the file is not a whole pattern file.
    """

    def __init__(self, path: Path | str) -> None:
        """Open ``path`` and read the detector."""
        self.path = Path(path)
        self._file = _open(self.path)
        try:
            self._load()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "PatternReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _load(self) -> None:
        file = self._file
        try:
            self._offsets, self._pixel, self._count = (file[n] for n in (OFFSETS, PIXEL, COUNT))
            self.n_patterns = len(self._offsets) - 1
            ends = int(self._offsets[0]), int(self._offsets[-1])
            rows, columns = (int(n) for n in file["detector"].attrs["shape"])
            self.detector_shape = rows, columns
            self.info = self._read_info()
            self.pixels, self._rank = self._read_pixels()
        except (KeyError, OSError, ValueError, IndexError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(
                f"{self.path}: incomplete pattern file ({error}); it may be truncated, "
                "make it again"
            ) from error
        entries = len(self._pixel)
        if self.n_patterns < 0 or ends != (0, entries) or len(self._count) != entries:
            raise FormatError(
                f"{self.path}: offsets run over {ends}, but there are {entries} pixel and "
                f"{len(self._count)} count entries; the file is truncated or damaged"
            )

    def _read_info(self) -> dict[str, Any]:
        info: dict[str, Any] = {key: float(self._file[name][()]) for key, name in SCALARS.items()}
        for key, value in info.items():
            if not (np.isfinite(value) and value > 0):
                raise FormatError(f"{self.path}: {key} is {value}; expected a positive number")
        info["detector_shape"] = self.detector_shape
        info["provenance"] = {
            key: json.loads(value) if key == "versions" else value
            for key, value in self._file["provenance"].attrs.items()
        }
        return info

    def _read_pixels(self) -> tuple[Pixels, np.ndarray]:
        """Return the usable pixels by |s|, and each detector pixel's rank among them (or −1)."""
        group = self._file["detector"]
        s, gain = group["s"][()], group["gain"][()]
        background, mask = group["background"][()], group["mask"][()].astype(bool)
        good = np.flatnonzero(~mask)
        for name, values in (
            ("s", s[good]),
            ("gain", gain[good]),
            ("background", background[good]),
        ):
            if not np.isfinite(values).all():
                raise FormatError(f"{self.path}: detector/{name} holds NaN or infinity")
        if not len(good):
            raise FormatError(f"{self.path}: the mask leaves no usable pixel")
        index = good[np.argsort(np.linalg.norm(s[good], axis=1), kind="stable")]
        rank = np.full(len(mask), -1, np.int32)
        rank[index] = np.arange(len(index), dtype=np.int32)
        pixels = Pixels(
            s=torch.from_numpy(s[index].astype(np.float32)),
            gain=torch.from_numpy(gain[index].astype(np.float32)),
            background=torch.from_numpy(background[index].astype(np.float32)),
            index=torch.from_numpy(index),
            shape=self.detector_shape,
        )
        return pixels, rank

    def read_raw(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` with flat detector indices.

        Raises :class:`FormatError` for entries that cannot be right.
        """
        if not 0 <= start <= stop <= self.n_patterns:
            raise ValueError(f"patterns {start} … {stop} asked for, there are {self.n_patterns}")
        try:
            offsets = self._offsets[start : stop + 1]
            pixel = self._pixel[offsets[0] : offsets[-1]].astype(np.int32)
            count = self._count[offsets[0] : offsets[-1]].astype(np.int32)
        except OSError as error:
            raise FormatError(f"{self.path}: patterns cannot be read ({error})") from error
        if (np.diff(offsets) < 0).any() or pixel.max(initial=0) >= len(self._rank):
            raise FormatError(f"{self.path}: patterns {start} … {stop} hold impossible entries")
        return Photons(offsets=offsets - offsets[0], pixel=pixel, count=count)

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` as numbers into ``pixels``; masked ones dropped."""
        raw = self.read_raw(start, stop)
        pixel = self._rank[raw.pixel]
        keep = pixel >= 0
        if keep.all():
            return Photons(offsets=raw.offsets, pixel=pixel, count=raw.count)
        kept = np.concatenate([[0], np.cumsum(keep)])
        return Photons(offsets=kept[raw.offsets], pixel=pixel[keep], count=raw.count[keep])


def _open(path: Path) -> h5py.File:
    if not path.exists():
        raise FormatError(f"{path}: no such pattern file; make one with xrai-sim make")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FormatError(
            f"{path}: not a readable HDF5 file ({error}); expected a pattern file of xrai-sim make"
        ) from error
    found, version = file.attrs.get("format"), file.attrs.get("version")
    if found != FORMAT or version != VERSION:
        file.close()
        what = f"format {found!r}, version {version}" if found else "an HDF5 file without a format"
        raise FormatError(
            f"{path}: found {what}; expected {FORMAT!r}, version {VERSION}, as written by "
            "xrai-sim make"
        )
    return file
