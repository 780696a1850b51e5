"""Patterns in blocks from a file, kept in memory between passes as far as allowed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import PatternSource, Photons, Pixels
from xraisim.files.patterns import PatternReader


class PatternStream:
    """Blocks of patterns in file order; a block is read again only if it did not fit in memory.

    ``patterns`` is a file, or what gives patterns without one (``xraisim.stream``).
    """

    def __init__(self, patterns: Path | str | PatternSource, block: int, memory_gib: float) -> None:
        self._reader: PatternSource = (
            PatternReader(patterns) if isinstance(patterns, str | Path) else patterns
        )
        if self._reader.n_patterns == 0:
            raise FormatError(f"{patterns} holds no patterns; there is nothing to reconstruct")
        self._block = block
        self._free_bytes = memory_gib * 2**30
        self._kept: dict[int, Photons] = {}

    def __len__(self) -> int:
        return self._reader.n_patterns

    def __enter__(self) -> "PatternStream":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    @property
    def path(self) -> Path:
        """Where the patterns are, or the name of what gives them."""
        return self._reader.path

    @property
    def pixels(self) -> Pixels:
        """The usable pixels, ordered by |s|."""
        return self._reader.pixels

    @property
    def diameter_angstrom(self) -> float:
        """The particle's diameter as the beamline stated it, in Å."""
        return float(self._reader.info["particle_diameter_angstrom"])

    @property
    def ended(self) -> bool:
        """Whether no more patterns will come."""
        return True

    @property
    def rereadable(self) -> bool:
        """Whether every pattern can be read again."""
        return True

    def wait_for(self, count: int) -> int:
        """Return how many of the first ``count`` patterns there are."""
        return min(count, len(self))

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[slice, Photons]]:
        """Yield (rows, photons) for the patterns ``start`` … ``stop`` − 1, block by block."""
        stop = len(self) if stop is None else stop
        for first in range(start - start % self._block, stop, self._block):
            last = min(first + self._block, len(self))
            photons = self._read(first, last)
            rows = slice(max(first, start), min(last, stop))
            if rows.stop - rows.start < last - first:
                photons = photons.take(np.arange(rows.start - first, rows.stop - first))
            yield rows, photons

    def _read(self, first: int, last: int) -> Photons:
        if first in self._kept:
            return self._kept[first]
        photons = self._reader.read(first, last)
        size = photons.offsets.nbytes + photons.pixel.nbytes + photons.count.nbytes
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._kept[first] = photons
        return photons
