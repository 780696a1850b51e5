"""The pattern file: writing it, chunk by whole chunk, under a temporary name until it is whole.

While it grows it can be read (HDF5's single writer, multiple readers): first the entries of some
patterns are on the disk, then the offsets that announce them. So a killed writer leaves whole
chunks and nothing that points beyond them.
"""

from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float, Num

from xraisim.core.admission import check_photons
from xraisim.core.json_text import to_json
from xraisim.core.types import Photons
from xraisim.files.atomic import disk_errors, partial_path, require_space
from xraisim.files.pattern_schema import FORMAT, OFFSETS, UNITS, VERSION
from xraisim.files.photon_tables import PhotonTables
from xraisim.files.texts import describe
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Geometry


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
        background: Float[np.ndarray, "P"] | float,
        particle_diameter_angstrom: float,
        provenance: dict[str, Any],
    ) -> None:
        """Create the file; ``background`` is photons per pixel."""
        self.path = Path(path)
        self._partial = partial_path(self.path)
        self.photons = 0
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            require_space(self.path, 64 * len(detector.mask))
            self._file = h5py.File(self._partial, "w", libver="latest")
        try:
            with disk_errors(self.path):
                describe(self._file, {"format": FORMAT, "version": VERSION})
                self._tables = PhotonTables(self._file, self.path, len(detector.mask))
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
                    self._tables.finish()
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
        check_photons(photons, len(self._file["detector/mask"]), f"{self.path}: photons")
        self.photons += int(photons.count.sum())
        with disk_errors(self.path):
            self._tables.append(photons)

    def _patterns_written(self) -> int:
        try:
            return len(self._file[OFFSETS]) - 1
        except (KeyError, ValueError):  # the file was never set up
            return 0

    def _write_detector(
        self, detector: Geometry, background: Float[np.ndarray, "P"] | float
    ) -> None:
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
        describe(self._file["detector"], {"shape": detector.shape})

    def _write_scalars(self, beam: Beam, diameter: float) -> None:
        self._dataset("beam/photon_energy", beam.photon_energy_ev)
        self._dataset("beam/wavelength", beam.wavelength_angstrom)
        self._dataset("beam/fluence", beam.fluence_photons_per_um2)
        self._dataset("particle/diameter", diameter)
        describe(self._file["beam"], {"polarisation": beam.polarisation})

    def _write_provenance(self, provenance: dict[str, Any]) -> None:
        stored = {k: to_json(v) if isinstance(v, dict) else v for k, v in provenance.items()}
        describe(self._file.create_group("provenance"), stored)

    def _dataset(self, name: str, value: Num[np.ndarray, "P *xyz"] | float) -> None:
        """Write a dataset under a checksum: of its one chunk, or of the header that holds it."""
        if np.ndim(value):
            checked = {"chunks": np.shape(value), "fletcher32": True}
            made = self._file.create_dataset(name, data=value, **checked)
            describe(made, {"units": UNITS[name]})
            return
        group, _, last = name.rpartition("/")
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        compact.set_obj_track_times(False)  # as h5py does: the same patterns give the same bytes
        scalar = h5py.h5s.create(h5py.h5s.SCALAR)
        parent = self._file.require_group(group).id
        kind = h5py.h5t.IEEE_F64LE
        made = h5py.Dataset(h5py.h5d.create(parent, last.encode(), kind, scalar, compact))
        made[()] = value
        describe(made, {"units": UNITS[name]})
