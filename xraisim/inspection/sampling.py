"""What a picture of a pattern file is made from: sums over patterns taken evenly from all of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from xraisim.core.errors import FormatError
from xraisim.core.radial import mean_by_shell, shells_between
from xraisim.core.types import Photons, Pixels
from xraisim.files.patterns import PatternReader

MOST_PATTERNS = 100_000
_MOST_ENTRIES = 2 * 10**8  # a minute of reading; brighter files are sampled more thinly
_BLOCK_ENTRIES = 2**20
_BLOCK_PATTERNS = 2048
_SHOWN = 6
_PROBED = 16
_MOST_SHELLS = 80

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class PatternSample:
    """Sums over a sample of patterns; P is the whole detector, masked pixels included.

    ``looked_at``: patterns of the sample, n. ``mean`` float64 [P], photons per pattern. ``totals``
    float64 [n], photons in usable pixels. ``shown`` int64 [k]: the numbers of k patterns, and
    ``counts`` int64 [k, P]: their photons. ``brightest``: the most photons of a pixel in a pattern.
    """

    looked_at: int
    mean: np.ndarray
    totals: np.ndarray
    shown: np.ndarray
    counts: np.ndarray
    brightest: int


@dataclass(frozen=True, kw_only=True)
class RadialProfile:
    """Means per usable pixel and pattern in shells of |s|, float64 [shells], empty ones left out.

    ``s`` in Å⁻¹, the mean of the shell's pixels; ``photons`` as counted, background included;
    ``background``: what the file states.
    """

    s: np.ndarray
    photons: np.ndarray
    background: np.ndarray


def radial_profile(pixels: Pixels, mean: np.ndarray) -> RadialProfile:
    """Return the profile of a mean pattern, ``mean`` [P] over the whole detector."""
    radius = pixels.radius.double()
    shells = int(np.clip(len(radius) // 16, 4, _MOST_SHELLS))
    edges = np.linspace(float(radius.min()), float(radius.max()), shells + 1)
    shell = shells_between(radius, torch.from_numpy(edges))
    columns = (radius, torch.from_numpy(mean)[pixels.index], pixels.background.double())
    means = [mean_by_shell(shell, values, shells).numpy() for values in columns]
    s, photons, background = (one[np.isfinite(means[0])] for one in means)
    return RadialProfile(s=s, photons=photons, background=background)


def sample(
    reader: PatternReader, most: int = MOST_PATTERNS, progress: Progress | None = None
) -> PatternSample:
    """Return sums over at most ``most`` patterns, in blocks spread evenly over the file.

    Memory does not grow with the file, nor does time beyond ``most`` patterns. ``progress`` gets
    the number of patterns just read. Raises :class:`FormatError` for a file without patterns.
    """
    if reader.n_patterns == 0:
        raise FormatError(f"{reader.path}: the file holds no patterns; there is nothing to look at")
    pixels = int(np.prod(reader.detector_shape))
    usable = np.zeros(pixels, bool)
    usable[reader.pixels.index.numpy()] = True
    shown = np.unique(np.linspace(0, reader.n_patterns - 1, _SHOWN).astype(int))
    total, totals, brightest, looked_at = np.zeros(pixels), [], 0, 0
    for start, stop in spans(reader, most):
        block = reader.read_raw(start, stop)
        total += np.bincount(block.pixel, block.count, minlength=pixels)
        totals.append(_totals(block, usable))
        brightest = max(brightest, int(block.count.max(initial=0)))
        looked_at += len(block)
        if progress is not None:
            progress(len(block))
    return PatternSample(
        looked_at=looked_at,
        mean=total / looked_at,
        totals=np.concatenate(totals),
        shown=shown,
        counts=np.stack([_dense(reader, int(i), pixels) for i in shown]),
        brightest=brightest,
    )


def spans(reader: PatternReader, most: int) -> Iterator[tuple[int, int]]:
    """Yield first and last+1 of blocks that hold ``most`` patterns, or all if they are fewer."""
    n = reader.n_patterns
    per_pattern = _entries_per_pattern(reader)
    wanted = min(n, most, max(1, int(_MOST_ENTRIES / per_pattern)))
    size = int(min(_BLOCK_PATTERNS, max(1, _BLOCK_ENTRIES / per_pattern)))
    blocks = -(-wanted // size)
    for number in range(blocks):
        length = min(size, wanted - number * size)
        # the gaps between blocks are equal; none if everything is wanted
        start = number * size + (n - wanted) * number // max(blocks - 1, 1)
        yield start, start + length


def _entries_per_pattern(reader: PatternReader) -> float:
    """Return the mean number of entries of a few patterns spread over the file, at least 1."""
    n = reader.n_patterns
    some = np.unique(np.linspace(0, max(n - 1, 0), min(n, _PROBED)).astype(int)).tolist()
    return max(float(np.mean([len(reader.read_raw(i, i + 1).pixel) for i in some])), 1.0)


def _totals(block: Photons, usable: np.ndarray) -> np.ndarray:
    weight = np.where(usable[block.pixel], block.count, 0)
    running = np.concatenate([[0.0], np.cumsum(weight, dtype=np.float64)])
    return running[block.offsets[1:]] - running[block.offsets[:-1]]


def _dense(reader: PatternReader, number: int, pixels: int) -> np.ndarray:
    one = reader.read_raw(number, number + 1)
    return np.bincount(one.pixel, one.count, minlength=pixels).astype(np.int64)
