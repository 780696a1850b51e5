"""Pattern files: reading them. Sparse patterns, detector and beam; never any truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from xraisim.core.errors import FormatError, reading
from xraisim.core.types import Photons
from xraisim.files.pattern_file import PatternFile
from xraisim.files.pattern_writer import PatternWriter
from xraisim.files.shards import files_of

__all__ = ["PatternReader", "PatternWriter"]


class PatternReader:
    """An open data set; reads blocks of patterns, and nothing else until it is asked to.

    ``path`` is a pattern file, or the name that its shards have in common; they are one data set.
    ``files``: what is open. ``n_patterns``; ``pixels``: the usable pixels sorted by |s|
    (:class:`Pixels`); ``info``: what a beamline knows (``photon_energy_ev``,
    ``wavelength_angstrom``, ``fluence_photons_per_um2``, ``particle_diameter_angstrom``,
    ``detector_shape``, and the ``provenance`` mapping). Raises :class:`FormatError` if a file is
    not a whole pattern file; one that is still being written (``.partial``) may be, see
    :meth:`refresh`.
    """

    def __init__(self, path: Path | str) -> None:
        """Open ``path`` and read the detector."""
        self.path = Path(path)
        self.files = files_of(self.path)
        if not self.files:
            raise FormatError(f"{path}: no such pattern file; make one with xrai-sim make")
        self._parts: list[PatternFile] = []
        try:
            for file in self.files:
                self._parts.append(PatternFile(file))
            self._check_agreement()
        except BaseException:
            self.close()
            raise
        first = self._parts[0]
        self.pixels, self.info = first.order.pixels, first.info
        self.detector_shape = first.shape
        self._count()

    def __enter__(self) -> "PatternReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for part in self._parts:
            part.close()

    def refresh(self) -> int:
        """Look again how many patterns there are, in files that are being written; return that."""
        for part in self._parts:
            part.refresh()
        self._count()
        return self.n_patterns

    def _count(self) -> None:
        self.n_patterns = sum(part.n_patterns for part in self._parts)

    def _check_agreement(self) -> None:
        first = self._parts[0]
        for part in self._parts[1:]:
            if not first.same_experiment(part):
                raise FormatError(
                    f"{part.path} is not of the same experiment as {first.path}: their detectors, "
                    "beams or configurations differ; make all shards with the same settings"
                )

    def read_raw(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` with flat detector indices.

        Raises :class:`FormatError` for entries that cannot be right.
        """
        if not 0 <= start <= stop <= self.n_patterns:
            raise ValueError(f"patterns {start} … {stop} asked for, there are {self.n_patterns}")
        return read_across(self._parts, start, stop)

    def images(self, start: int, stop: int) -> Int32[np.ndarray, "n rows columns"]:
        """Return patterns ``start … stop − 1`` as photons per pixel.

        All pixels, used or not; of a detector of several panels, as its file stores them.
        """
        rows, columns = self.detector_shape
        photons = self.read_raw(start, stop)
        found = np.zeros((len(photons), rows * columns), np.int32)
        np.add.at(found, (photons.rows(), photons.pixel), photons.count)
        return found.reshape(-1, rows, columns)

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` as numbers into ``pixels``; masked ones dropped."""
        return self._parts[0].order.ranked(self.read_raw(start, stop))


def read_across(parts: Sequence[PatternFile], start: int, stop: int) -> Photons:
    """Return patterns ``start … stop − 1`` of files in a row, with flat detector indices."""
    starts = np.cumsum([0, *(part.n_patterns for part in parts)]).tolist()
    blocks = []
    for part, first in zip(parts, starts, strict=False):
        if start - first < part.n_patterns and stop > first:
            with reading(part.path, "pattern file"):
                blocks.append(part.read(max(start - first, 0), min(stop - first, part.n_patterns)))
    return Photons.joined(blocks)
