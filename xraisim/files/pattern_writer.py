"""The pattern file: writing it, chunk by whole chunk, under a temporary name until it is whole.

While it grows it can be read (HDF5's single writer, multiple readers): first the entries of some
patterns are on the disk, then the offsets that announce them. So a killed writer leaves whole
chunks and nothing that points beyond them.
"""

from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from xraisim.core.admission import check_photons
from xraisim.core.json_text import to_json
from xraisim.core.types import Photons
from xraisim.files.atomic import disk_errors, partial_path, require_space
from xraisim.files.pattern_schema import (
    COUNT,
    FORMAT,
    LARGEST_COUNT,
    OFFSETS,
    PIXEL,
    UNITS,
    VERSION,
)
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Geometry

_ENTRY_CHUNK, _OFFSET_CHUNK = 2**18, 2**11


class PatternWriter:
    """Writes a pattern file; use as a context manager.

    Blocks are appended to ``<path>.partial``, which is renamed to ``path`` when the context ends
    without an error. After an error it is removed, unless it holds patterns that a run can resume
    from (:func:`xraisim.files.resume.recover`). ``photons``: how many were appended so far. Raises
    :class:`UserError` if the disk is full.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        detector: Geometry,
        beam: Beam,
        background: np.ndarray | float,
        particle_diameter_angstrom: float,
        provenance: dict[str, Any],
    ) -> None:
        """Create the file; ``background`` is photons per pixel, a number or [P]."""
        self.path = Path(path)
        self._partial = partial_path(self.path)
        self._waiting, self.photons = _Waiting(), 0
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            require_space(self.path, 64 * len(detector.mask))
            self._file = h5py.File(self._partial, "w", libver="latest")
        try:
            with disk_errors(self.path):
                self._create_photons(len(detector.mask))
                self._write_detector(detector, background)
                self._write_scalars(beam, particle_diameter_angstrom)
                self._write_provenance(provenance)
                self._file.swmr_mode = True
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def __enter__(self) -> "PatternWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        whole = kind is None
        worth_keeping = False
        try:
            with disk_errors(self.path):
                if whole:
                    self._write(self._waiting.rest())
                else:
                    worth_keeping = self._patterns_written() > 0
                try:
                    self._file.close()
                except (OSError, RuntimeError):
                    # After a failed write HDF5 often cannot close cleanly; the first error counts.
                    if whole:
                        raise
                if whole:
                    self._partial.replace(self.path)
        finally:
            if not worth_keeping:
                self._partial.unlink(missing_ok=True)

    def append(self, photons: Photons) -> None:
        """Append a block whose pixels are flat detector indices; counts are at least 1.

        Raises :class:`ValueError` for pixels off the detector and counts below 0.
        """
        check_photons(photons, len(self._file["detector/mask"]))
        self._waiting.add(split_large_counts(photons))
        self.photons += int(photons.count.sum())
        with disk_errors(self.path):
            self._write(self._waiting.whole_chunks(len(self._file[OFFSETS])))

    def _write(self, ready: dict[str, np.ndarray]) -> None:
        """Append to the datasets, the offsets last: they announce what is there."""
        require_space(self.path, sum(values.nbytes for values in ready.values()))
        for name in (PIXEL, COUNT, OFFSETS):
            values, dataset = ready[name], self._file[name]
            if len(values):
                start = len(dataset)
                dataset.resize((start + len(values),))
                dataset[start:] = values.astype(dataset.dtype)
                dataset.flush()

    def _patterns_written(self) -> int:
        try:
            return len(self._file[OFFSETS]) - 1
        except (KeyError, ValueError):  # the file was never set up
            return 0

    def _create_photons(self, pixels: int) -> None:
        self._file.attrs["format"] = FORMAT
        self._file.attrs["version"] = VERSION
        compression = hdf5plugin.Blosc2(cname="zstd", clevel=1, filters=hdf5plugin.Blosc2.SHUFFLE)
        index = np.uint16 if pixels <= 2**16 else np.uint32
        for name, dtype, chunk in (
            (PIXEL, index, _ENTRY_CHUNK),
            (COUNT, np.uint8, _ENTRY_CHUNK),
            (OFFSETS, np.int64, _OFFSET_CHUNK),
        ):
            self._file.create_dataset(
                name, (0,), dtype, maxshape=(None,), chunks=(chunk,), compression=compression
            ).attrs["units"] = UNITS[name]
        self._file[OFFSETS].resize((1,))

    def _write_detector(self, detector: Geometry, background: np.ndarray | float) -> None:
        values = {
            "position": detector.position_mm,
            "s": detector.s,
            "solid_angle": detector.solid_angle_sr,
            "polarisation": detector.polarisation,
            "gain": detector.gain,
            "background": np.broadcast_to(background, detector.mask.shape),
            "panel": detector.panel,
            "mask": detector.reasons,
        }
        for name, array in values.items():
            stored = array.astype(np.float32) if array.dtype.kind == "f" else array
            self._dataset(f"detector/{name}", stored)
        self._file["detector"].attrs["shape"] = detector.shape

    def _write_scalars(self, beam: Beam, diameter: float) -> None:
        self._dataset("beam/photon_energy", beam.photon_energy_ev)
        self._dataset("beam/wavelength", beam.wavelength_angstrom)
        self._dataset("beam/fluence", beam.fluence_photons_per_um2)
        self._dataset("particle/diameter", diameter)
        self._file["beam"].attrs["polarisation"] = beam.polarisation

    def _write_provenance(self, provenance: dict[str, Any]) -> None:
        group = self._file.create_group("provenance")
        for key, value in provenance.items():
            group.attrs[key] = to_json(value) if isinstance(value, dict) else value

    def _dataset(self, name: str, value: np.ndarray | float) -> None:
        self._file.create_dataset(name, data=value).attrs["units"] = UNITS[name]


class _Waiting:
    """Entries and offsets that do not fill a chunk yet."""

    def __init__(self) -> None:
        self._entries = 0  # of all patterns appended so far
        self._held: dict[str, np.ndarray] = {
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

    def whole_chunks(self, offsets_written: int) -> dict[str, np.ndarray]:
        """Give what fills chunks, and no offset of an entry that waits."""
        entries = len(self._held[PIXEL]) // _ENTRY_CHUNK * _ENTRY_CHUNK
        left = len(self._held[PIXEL]) - entries
        announced = np.searchsorted(self._held[OFFSETS], self._entries - left, side="right")
        stop = (offsets_written + int(announced)) // _OFFSET_CHUNK * _OFFSET_CHUNK
        return self._take(entries, max(0, stop - offsets_written))

    def rest(self) -> dict[str, np.ndarray]:
        """Give everything."""
        return self._take(len(self._held[PIXEL]), len(self._held[OFFSETS]))

    def _take(self, entries: int, offsets: int) -> dict[str, np.ndarray]:
        lengths = {PIXEL: entries, COUNT: entries, OFFSETS: offsets}
        given = {name: values[: lengths[name]] for name, values in self._held.items()}
        self._held = {name: values[lengths[name] :] for name, values in self._held.items()}
        return given


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
