"""Patterns in blocks, read ahead by a thread and kept in memory as far as allowed."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from xrai.sources.follow import FollowedFiles
from xrai.sources.live import Complete, LiveSource, cut
from xrai.sources.pushed import PushedPatterns
from xrai.sources.read_ahead import ReadAhead
from xraisim.core.errors import ConfigError, FormatError
from xraisim.core.fingerprint import fingerprint
from xraisim.core.types import PatternSource, Photons, Pixels
from xraisim.files.patterns import PatternReader

_SLICE_S = 0.1  # the longest that a source is waited for without looking whether anybody still does


class PatternStream:
    """Blocks of patterns in order; a block is read again only if it did not fit in memory.

    ``patterns`` is a file, or what gives patterns without one: ``xraisim.stream``, a file still
    being written (:class:`FollowedFiles`) or another process (:class:`PushedPatterns`). The blocks
    are the same whenever their patterns came: multiples of ``block``, but for the last.

    Of a detector that sees farther, ``pixels`` (the usable ones by |s|) and photons end at
    ``resolution_angstrom``.

    A thread reads ``read_ahead_blocks`` ahead. In memory are ``memory_gib`` of the blocks that came
    first, ``read_ahead_blocks`` + 2 more, and of what another process pushes that which is waited
    for; the rest waits with that process.
    A source that is not one of ours is read without a thread: it may not be made for one.
    """

    def __init__(
        self,
        patterns: Path | str | PatternSource | LiveSource,
        block: int,
        memory_gib: float,
        read_ahead_blocks: int = 2,
        resolution_angstrom: float | None = None,
    ) -> None:
        """Open the patterns; waits for the first of them.

        Raises :class:`ConfigError` where no pixel lies within ``resolution_angstrom``.
        """
        self._source, threaded = _opened(patterns)
        self._ahead = read_ahead_blocks if threaded else 0
        self._block, self._free_bytes = block, memory_gib * 2**30
        self._kept: dict[int, Photons] = {}
        begins = self._source.begins
        self._released, self._lost = begins - begins % block, begins > 0
        self._readers: set[ReadAhead[tuple[slice, Photons]]] = set()
        self._lock = threading.Lock()  # a source is used by one thread at a time
        try:
            if self.wait_for(begins + 1) <= begins:
                raise FormatError(_nothing(self._source))
            self.pixels = _within(self._source.pixels, resolution_angstrom)
        except BaseException:
            self._source.close()
            raise

    def __len__(self) -> int:
        """Return how many patterns are known so far."""
        return self._source.n_patterns

    def __enter__(self) -> "PatternStream":
        return self

    def __exit__(self, *_: object) -> None:
        for reader in list(self._readers):
            reader.close()
        self._source.close()

    @property
    def path(self) -> Path:
        """Where the patterns are, or the name of what gives them."""
        return self._source.path

    @property
    def info(self) -> dict[str, Any]:
        """What a beamline knows, as in :class:`PatternReader`."""
        return self._source.info

    @property
    def diameter_angstrom(self) -> float:
        """The particle's diameter as the beamline stated it, in Å."""
        return float(self.info["particle_diameter_angstrom"])

    @property
    def ended(self) -> bool:
        """Whether no more patterns will come."""
        return self._source.ended

    @property
    def warning(self) -> str:
        """Why the patterns ended, if not as they should; else empty."""
        return self._source.warning

    @property
    def rereadable(self) -> bool:
        """Whether every pattern so far can be read again: from the source, or from memory."""
        return self._source.rereadable or not self._lost

    def fingerprint(self, count: int) -> str:
        """Return what tells these patterns from others, by the first ``count`` of them.

        That is of the whole detector, whatever the resolution; of a source that cannot be read
        again, of the detector alone.
        """
        source = self._source
        blocks: list[Photons] = []
        if source.rereadable and count:
            with self._lock:
                blocks.append(source.read(0, count))
        return fingerprint(source.pixels, blocks)

    def keeps(self, count: int) -> bool:
        """Whether the first ``count`` patterns are in memory."""
        return all(first in self._kept for first in range(0, count, self._block))

    def wait_for(self, count: int) -> int:
        """Wait for the first ``count`` patterns, or the end; return how many of them there are.

        What another process pushes has to be held to be counted, beyond ``memory_gib`` too.
        """
        return self._wait(count, threading.Event())

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[slice, Photons]]:
        """Yield (rows, photons) for the patterns ``start`` … ``stop`` − 1, block by block.

        Without ``stop`` until the source ends. Raises :class:`UserError` for patterns that were
        pushed, read once and not kept; and what the source raises.
        """
        load = partial(self._loaded, start, stop)
        if not self._ahead:
            yield from map(self._handed_out, load(threading.Event()))
            return
        with closing(ReadAhead(load, self._ahead, "pattern reader")) as reader:
            self._readers.add(reader)
            try:
                yield from map(self._handed_out, reader)
            finally:
                self._readers.discard(reader)

    def _wait(self, count: int, stopped: threading.Event) -> int:
        source = self._source
        while source.n_patterns < count and not source.ended and not stopped.is_set():
            with self._lock:
                source.wait(count, _SLICE_S)
            stopped.wait(1e-3)  # lets another thread have the source
        return min(source.n_patterns, count)

    def _loaded(
        self, start: int, stop: int | None, stopped: threading.Event
    ) -> Iterator[tuple[slice, Photons]]:
        for first in itertools.count(start - start % self._block, self._block):
            last = first + self._block if stop is None else min(first + self._block, stop)
            rows = slice(max(first, start), self._wait(last, stopped))
            if stopped.is_set() or rows.start >= rows.stop:
                return
            with self._lock:
                begins, photons = self._read(first)
            yield rows, cut(photons, rows.start - begins, rows.stop - begins)

    def _read(self, first: int) -> tuple[int, Photons]:
        """Return what there is of a block, and the number of its first pattern."""
        source = self._source
        source.forget(self._released)
        begins = max(first, source.begins)
        if first in self._kept:
            return begins, self._kept[first]
        last = min(first + self._block, source.n_patterns)
        photons = source.read(begins, last)
        if len(self.pixels) < len(source.pixels):
            photons = photons.where(photons.pixel < len(self.pixels))
        size = photons.offsets.nbytes + photons.pixel.nbytes + photons.count.nbytes
        whole = source.ended or last == first + self._block
        if whole and size <= self._free_bytes:
            self._free_bytes -= size
            self._kept[first] = photons
            if first <= self._released < last:
                self._released = last
        return begins, photons

    def _handed_out(self, item: tuple[slice, Photons]) -> tuple[slice, Photons]:
        """Release the blocks that end with these rows, or before them."""
        stop = item[0].stop
        at_end = self.ended and stop == len(self)
        released = stop if at_end else stop - stop % self._block
        gone = range(self._released, released, self._block)
        self._lost |= any(first - first % self._block not in self._kept for first in gone)
        self._released = max(self._released, released)
        return item


def _opened(patterns: Path | str | PatternSource | LiveSource) -> tuple[LiveSource, bool]:
    """Return the source, and whether a thread may read it."""
    if isinstance(patterns, str | Path):
        patterns = PatternReader(patterns)
    if isinstance(patterns, FollowedFiles | PushedPatterns):
        return patterns, True
    return Complete(patterns), isinstance(patterns, PatternReader)


def _within(pixels: Pixels, resolution_angstrom: float | None) -> Pixels:
    """Return the pixels to a resolution, all of them where none is given."""
    if resolution_angstrom is None:
        return pixels
    count = pixels.count_below(1 / resolution_angstrom)
    if not count:
        raise ConfigError(
            f"resolution_angstrom is {resolution_angstrom:g}, and no pixel is within it: they see "
            f"from {1 / float(pixels.radius[0]):.4g} to {1 / float(pixels.radius[-1]):.4g} Å"
        )
    return pixels.first(count)


def _nothing(source: LiveSource) -> str:
    why = f": {source.warning}" if source.warning else ""
    return f"{source.path} holds no patterns; there is nothing to reconstruct{why}"
