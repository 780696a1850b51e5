"""Blocks of dense counts from a pattern file, kept in memory as far as a budget goes."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.files.patterns import PatternReader


@dataclass(kw_only=True)
class CountBlocks:
    """The first ``patterns`` patterns of a file, their first ``pixels`` pixels, block by block."""

    reader: PatternReader
    patterns: int
    pixels: int
    block: int
    cache_gib: float
    device: torch.device
    _cache: dict[int, Tensor] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[slice, Float[Tensor, "n P"]]]:
        """Yield (which patterns, their counts as float32 on the device)."""
        for start in range(0, self.patterns, self.block):
            where = slice(start, min(start + self.block, self.patterns))
            yield where, self._counts(where)

    def _counts(self, where: slice) -> Tensor:
        if where.start in self._cache:
            return self._cache[where.start]
        counts = self.reader.read(where.start, where.stop).dense(self.pixels).to(self.device)
        held = sum(block.nbytes for block in self._cache.values())
        if held + counts.nbytes <= self.cache_gib * 2**30:
            self._cache[where.start] = counts
        return counts

    def survey(self) -> tuple[Float[Tensor, "N"], Float[Tensor, "P"]]:
        """Return the photons of each pattern and the mean counts of each pixel."""
        totals, sums = [], torch.zeros(self.pixels, dtype=torch.float64, device=self.device)
        for _, counts in self:
            totals.append(counts.sum(1))
            sums += counts.sum(0)
        return torch.cat(totals), (sums / self.patterns).float()
