"""The pattern file: writing it, block by block, under a temporary name until it is whole."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from xraisim.atomic import disk_errors, partial_path, require_space
from xraisim.beam import Beam
from xraisim.core.types import Photons
from xraisim.detector import Geometry
from xraisim.pattern_schema import COUNT, FORMAT, LARGEST_COUNT, OFFSETS, PIXEL, UNITS, VERSION

_ENTRY_CHUNK, _OFFSET_CHUNK = 2**18, 2**14


class PatternWriter:
    """Writes a pattern file; use as a context manager.

    Blocks are appended to ``<path>.partial``, which is renamed to ``path`` when the context ends
    without an error and removed otherwise. Raises :class:`UserError` if the disk is full.
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
        self._entries = 0
        self._partial = partial_path(self.path)
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
        try:
            with disk_errors(self.path):
                try:
                    self._file.close()
                except (OSError, RuntimeError):
                    # After a failed write HDF5 often cannot close cleanly; the first error counts.
                    if whole:
                        raise
                if whole:
                    self._partial.replace(self.path)
        finally:
            self._partial.unlink(missing_ok=True)

    def append(self, photons: Photons) -> None:
        """Append a block whose pixels are flat detector indices; counts are at least 1."""
        photons = split_large_counts(photons)
        stop = self._entries + len(photons.pixel)
        with disk_errors(self.path):
            require_space(self.path, 5 * len(photons.pixel) + 8 * len(photons))
            for name, values in ((PIXEL, photons.pixel), (COUNT, photons.count)):
                dataset = self._file[name]
                dataset.resize((stop,))
                dataset[self._entries :] = values.astype(dataset.dtype)
            offsets = self._file[OFFSETS]
            patterns = len(offsets)
            offsets.resize((patterns + len(photons),))
            offsets[patterns:] = photons.offsets[1:] + self._entries
        self._entries = stop

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
            "mask": detector.mask.astype(np.uint8),
        }
        for name, array in values.items():
            stored = array if array.dtype == np.uint8 else array.astype(np.float32)
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
            group.attrs[key] = json.dumps(value) if isinstance(value, dict) else value

    def _dataset(self, name: str, value: np.ndarray | float) -> None:
        self._file.create_dataset(name, data=value).attrs["units"] = UNITS[name]


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
