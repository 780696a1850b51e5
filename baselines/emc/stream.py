"""Blocks of patterns from a file, in the form that an engine works on, as far as memory allows."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from xraisim.core.errors import SamplingError
from xraisim.core.processes import Processes
from xraisim.core.types import PatternSource, Photons, Pixels

_FEWEST_PIXELS = 32
_FAINTEST = 1e-6  # fluence


@dataclass(kw_only=True)
class PatternBlocks:
    """Blocks of patterns of a source, as :func:`split` makes them.

    ``prepare`` turns photons into rows on the device, which are kept up to ``cache_gib`` and made
    again in every pass beyond it.
    """

    source: PatternSource
    blocks: list[Int[Tensor, "_"]]
    prepare: Callable[[Photons], Tensor]
    cache_gib: float
    _cache: dict[int, Tensor] = field(default_factory=dict)

    def __call__(self, members: Bool[Tensor, "N"]) -> Iterator[tuple[Int[Tensor, "n"], Tensor]]:
        """Yield (pattern numbers, rows) of the ``members``; blocks without any are left out."""
        for which, numbers in enumerate(self.blocks):
            wanted = members[numbers]
            if not bool(wanted.any()):
                continue
            rows = self._rows(which, numbers)
            if bool(wanted.all()):
                yield numbers, rows
            else:
                yield numbers[wanted], rows[wanted.to(rows.device)]

    def _rows(self, which: int, numbers: Tensor) -> Tensor:
        if which in self._cache:
            return self._cache[which]
        rows = self.prepare(read(self.source, numbers))
        held = sum(block.nbytes for block in self._cache.values())
        if held + rows.nbytes <= self.cache_gib * 2**30:
            self._cache[which] = rows
        return rows


def split(chosen: Bool[Tensor, "N"], most: int, processes: Processes) -> list[Int[Tensor, "_"]]:
    """Return this process's share of the ``chosen`` patterns, in blocks of up to ``most``.

    Blocks span equally many patterns of the file and are dealt out in turn; where there would be
    too few for all processes, they are smaller.
    """
    numbers = chosen.nonzero()[:, 0]
    span = int(numbers[-1]) + 1 if len(numbers) else 0
    rounds = math.ceil(span / (most * processes.count))
    size = math.ceil(span / max(1, rounds * processes.count))
    parts = numbers.split((numbers // max(1, size)).bincount().tolist())
    return [part for part in parts if len(part)][processes.rank :: processes.count]


def read(source: PatternSource, numbers: Int[Tensor, "n"]) -> Photons:
    """Return patterns by their ascending numbers, which should be close together."""
    first, stop = int(numbers[0]), int(numbers[-1]) + 1
    photons = source.read(first, stop)
    return photons if stop - first == len(numbers) else photons.take(numbers.numpy() - first)


def pixels_within(source: PatternSource, reach: float, d_min_angstrom: float | None) -> Pixels:
    """Return the pixels to ``reach``/D, and no further than ``d_min_angstrom``.

    Raises :class:`SamplingError` if there are hardly any.
    """
    s_max = reach / source.info["particle_diameter_angstrom"]
    if d_min_angstrom is not None:
        s_max = min(s_max, 1 / d_min_angstrom)
    count = source.pixels.count_below(s_max)
    if count < _FEWEST_PIXELS:
        raise SamplingError(
            f"a reach of |s| = {s_max:.4g} Å⁻¹ (d = {1 / s_max:.1f} Å) has {count} usable pixels, "
            f"which begin at {float(source.pixels.radius[0]):.4g} Å⁻¹; at least {_FEWEST_PIXELS} "
            "are needed: raise reach, or lower d_min_angstrom"
        )
    return source.pixels.first(count)


def of_like_fluence(
    members: Bool[Tensor, "N"], fluence: Float[Tensor, "N"], classes: int
) -> Iterator[tuple[Bool[Tensor, "N"], float]]:
    """Yield (patterns, their mean fluence): the ``members``, by fluence, in so many equal parts.

    Where all of a part are dark, the mean is a little above 0, by which fluences are divided.
    """
    numbers = members.nonzero()[:, 0]
    order = numbers[fluence[numbers].argsort()]
    for part in order.tensor_split(min(classes, len(order))):
        group = torch.zeros_like(members)
        group[part] = True
        yield group, max(float(fluence[part].mean()), _FAINTEST)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one pass over the patterns tells: each one's photons, and the mean of each pixel.

    ``totals`` [N]: photons within the pixels; ``constant`` [N]: Σ k log gain, the part of the
    log-likelihood that no orientation changes; ``mean`` [P]: mean counts; ``background``: photons
    that a pattern has of it.
    """

    totals: Float[Tensor, "N"]
    constant: Float[Tensor, "N"]
    mean: Float[Tensor, "P"]
    background: float

    @classmethod
    def of(
        cls,
        source: PatternSource,
        blocks: list[Int[Tensor, "_"]],
        pixels: Pixels,
        processes: Processes,
    ) -> "Survey":
        """Read the patterns of all processes' ``blocks`` once; any others count as dark."""
        log_gain = np.append(pixels.gain.log().double().numpy(), 0.0)
        totals = torch.zeros(source.n_patterns, dtype=torch.float64)
        constant, sums = torch.zeros_like(totals), torch.zeros(len(pixels) + 1).double()
        patterns = torch.tensor(sum(map(len, blocks)))
        for numbers in blocks:
            photons = read(source, numbers)
            pixel = np.minimum(photons.pixel, len(pixels))
            inside = np.where(pixel < len(pixels), photons.count, 0)
            rows = photons.rows()
            totals[numbers] = _sums(rows, inside, len(numbers))
            constant[numbers] = _sums(rows, inside * log_gain[pixel], len(numbers))
            sums += _sums(pixel, inside, len(pixels) + 1)
        processes.sum(totals, constant, sums, patterns)
        mean = (sums[:-1] / patterns).float()
        background = float(pixels.background.sum())
        return cls(totals=totals.float(), constant=constant, mean=mean, background=background)

    def left_out(
        self, numbers: Int[Tensor, "n"], signal: Tensor, fluence: Tensor, typical: float
    ) -> Float[Tensor, "n"]:
        """Return what LL of some patterns leaves out, Σ log k! apart; float64 on the CPU.

        Templates are of the ``typical`` fluence, and to first order the rest of Σ k log(φw + b) is
        ``signal`` · log(φ/typical) at every orientation.
        """
        # xlogy: zero for a dark pattern
        brightness = torch.xlogy(signal.cpu().double(), (fluence / typical).cpu())
        return self.constant[numbers] + brightness - self.background


def _sums(
    where: Int[np.ndarray, "E"], values: Num[np.ndarray, "E"], count: int
) -> Float[Tensor, "{count}"]:
    """Return Σ values of every place, float64: NumPy's sums of no values at all are integers."""
    return torch.from_numpy(np.bincount(where, values, count).astype(np.float64))
