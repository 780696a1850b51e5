"""Blocks of patterns from a file, in the form that an engine works on, as far as memory allows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xraisim.core.types import PatternSource, Photons, Pixels


@dataclass(kw_only=True)
class PatternBlocks:
    """Patterns of a source in blocks of ``block`` in the file's order.

    ``chosen`` [N]: which patterns of the source take part; ``prepare`` turns photons into rows on
    the device, which are kept up to ``cache_gib`` and made again in every pass beyond it. Of
    ``shares`` equal shares of the blocks, as processes work on them, this is number ``share``.
    """

    source: PatternSource
    chosen: Bool[Tensor, "N"]
    block: int
    prepare: Callable[[Photons], Tensor]
    cache_gib: float
    share: int = 0
    shares: int = 1
    _cache: dict[int, Tensor] = field(default_factory=dict)

    def __call__(self, members: Bool[Tensor, "N"]) -> Iterator[tuple[Int[Tensor, "n"], Tensor]]:
        """Yield (pattern numbers, rows) of the ``members``; blocks without any are left out."""
        for start in range(self.share * self.block, len(self.chosen), self.shares * self.block):
            numbers = start + self.chosen[start : start + self.block].nonzero()[:, 0]
            wanted = members[numbers]
            if not bool(wanted.any()):
                continue
            rows = self._rows(start, numbers)
            if bool(wanted.all()):
                yield numbers, rows
            else:
                yield numbers[wanted], rows[wanted.to(rows.device)]

    def _rows(self, start: int, numbers: Tensor) -> Tensor:
        if start in self._cache:
            return self._cache[start]
        rows = self.prepare(read(self.source, numbers))
        held = sum(block.nbytes for block in self._cache.values())
        if held + rows.nbytes <= self.cache_gib * 2**30:
            self._cache[start] = rows
        return rows


def read(source: PatternSource, numbers: Int[Tensor, "n"]) -> Photons:
    """Return patterns by their ascending numbers, which should be close together."""
    first, stop = int(numbers[0]), int(numbers[-1]) + 1
    photons = source.read(first, stop)
    return photons if stop - first == len(numbers) else photons.take(numbers.numpy() - first)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one pass over the patterns tells: each one's photons, and the mean of each pixel.

    ``totals`` [N]: photons within the pixels; ``constant`` [N]: Σ k log gain, the part of the
    log-likelihood that no orientation changes; ``mean`` [P]: mean counts.
    """

    totals: Float[Tensor, "N"]
    constant: Float[Tensor, "N"]
    mean: Float[Tensor, "P"]

    @classmethod
    def of(
        cls, source: PatternSource, chosen: Bool[Tensor, "N"], pixels: Pixels, block: int
    ) -> "Survey":
        """Read the ``chosen`` patterns once; the others count as dark."""
        log_gain = np.append(pixels.gain.log().double().numpy(), 0.0)
        totals = torch.zeros(len(chosen), dtype=torch.float64)
        constant, sums = torch.zeros_like(totals), np.zeros(len(pixels) + 1)
        for start in range(0, len(chosen), block):
            numbers = start + chosen[start : start + block].nonzero()[:, 0]
            if not len(numbers):
                continue
            photons = read(source, numbers)
            pixel = np.minimum(photons.pixel, len(pixels))
            inside = np.where(pixel < len(pixels), photons.count, 0)
            rows = photons.rows()
            totals[numbers] = _per_row(rows, inside, len(numbers))
            constant[numbers] = _per_row(rows, inside * log_gain[pixel], len(numbers))
            sums += np.bincount(pixel, inside, len(pixels) + 1)
        mean = torch.from_numpy(sums[:-1] / int(chosen.sum())).float()
        return cls(totals=totals.float(), constant=constant, mean=mean)


def _per_row(rows: np.ndarray, values: np.ndarray, count: int) -> Tensor:
    return torch.from_numpy(np.bincount(rows, values, count))
