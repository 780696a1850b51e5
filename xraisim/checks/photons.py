"""Are the photon entries what entries can be? Read in one pass over the patterns."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64, UInt64

from xraisim.checks.registry import PatternFile, stream_check
from xraisim.core.types import Photons
from xraisim.files.pattern_schema import LARGEST_COUNT

_SHORTEST_DUPLICATE = 12  # entries: shorter patterns coincide by chance


class _Tally:
    """Counts occurrences and remembers the first pattern they were in."""

    def __init__(self) -> None:
        self.total, self.first = 0, -1

    def add(self, start: int, rows: Int64[np.ndarray, "_"]) -> None:
        """Add one occurrence per element of ``rows``, ascending pattern numbers from ``start``."""
        if len(rows) and self.first < 0:
            self.first = start + int(rows[0])
        self.total += len(rows)


@stream_check("error", "counts")
class Counts:
    """Every entry counts at least one photon."""

    def __init__(self, patterns: PatternFile) -> None:
        self._empty = _Tally()

    def add(self, start: int, block: Photons) -> None:
        """Look for zeros."""
        if (block.count < 1).any():
            self._empty.add(start, block.rows()[block.count < 1])

    def problems(self) -> Iterator[str]:
        """Yield the number of zeros."""
        if self._empty.total:
            yield f"{self._empty.total} entries of 0 photons, first in pattern {self._empty.first}"


@stream_check("error", "order")
class Order:
    """Pixels ascend within a pattern, and repeat only after a full count."""

    def __init__(self, patterns: PatternFile) -> None:
        self._unsorted, self._repeated = _Tally(), _Tally()

    def add(self, start: int, block: Photons) -> None:
        """Look at neighbouring entries of a pattern."""
        row = block.rows()
        step = np.diff(block.pixel)
        inner = np.diff(row) == 0
        self._unsorted.add(start, row[1:][inner & (step < 0)])
        again = inner & (step == 0) & (block.count[:-1] != LARGEST_COUNT)
        self._repeated.add(start, row[1:][again])

    def problems(self) -> Iterator[str]:
        """Yield what was out of order."""
        for tally, what in (
            (self._unsorted, "pixels below the one before"),
            (self._repeated, f"pixels repeated after fewer than {LARGEST_COUNT} photons"),
        ):
            if tally.total:
                yield f"{tally.total} {what}, first in pattern {tally.first}"


@stream_check("error", "masked")
class Masked:
    """No photons lie on masked pixels, but for saturated ones."""

    def __init__(self, patterns: PatternFile) -> None:
        self._mask, self._found = patterns.dark, _Tally()

    def add(self, start: int, block: Photons) -> None:
        """Look for masked pixels."""
        masked = self._mask[block.pixel]
        if masked.any():
            self._found.add(start, block.rows()[masked])

    def problems(self) -> Iterator[str]:
        """Yield the number of entries."""
        if self._found.total:
            yield (
                f"{self._found.total} entries on masked pixels, first in pattern "
                f"{self._found.first}"
            )


@stream_check("warning", "duplicates")
class Duplicates:
    """No pattern occurs twice."""

    def __init__(self, patterns: PatternFile) -> None:
        self._weight = _scrambled(patterns.n_pixels)
        self._digests: list[UInt64[np.ndarray, "_"]] = []
        self._numbers: list[Int64[np.ndarray, "_"]] = []

    def add(self, start: int, block: Photons) -> None:
        """Remember Σ count · weight(pixel) mod 2⁶⁴ of every pattern long enough to tell."""
        rows = np.flatnonzero(np.diff(block.offsets) >= _SHORTEST_DUPLICATE)
        running = np.zeros(len(block.pixel) + 1, np.uint64)
        np.cumsum(self._weight[block.pixel] * block.count.astype(np.uint64), out=running[1:])
        self._digests.append(running[block.offsets[rows + 1]] - running[block.offsets[rows]])
        self._numbers.append(start + rows)

    def problems(self) -> Iterator[str]:
        """Yield the number of patterns that were there before."""
        if not self._digests:
            return
        digests, numbers = np.concatenate(self._digests), np.concatenate(self._numbers)
        _, first, which = np.unique(digests, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[which] != np.arange(len(digests)))
        if len(again):
            one, other = numbers[first[which[again[0]]]], numbers[again[0]]
            yield f"{len(again)} patterns repeat an earlier one, such as {other} that of {one}"


def _scrambled(n: int) -> UInt64[np.ndarray, "{n}"]:
    """Return SplitMix64 of 0 … n − 1 (Steele, Lea & Flood 2014)."""
    with np.errstate(over="ignore"):
        x = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
