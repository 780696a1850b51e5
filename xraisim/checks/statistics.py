"""Do the photons look like photons? Warnings only: experiments have their reasons."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from xraisim.checks.registry import PatternFile, stream_check
from xraisim.core.types import Photons

_MOST_EMPTY = 0.5
_FEWEST_PATTERNS = 50
_NEIGHBOURS = 16  # next in |s|, on either side
_FACTOR, _SIGMAS = 3.0, 8.0


@stream_check("warning", "empty")
class Empty:
    """Most patterns hold photons."""

    def __init__(self, patterns: PatternFile) -> None:
        self._empty = self._all = 0

    def add(self, start: int, block: Photons) -> None:
        """Count patterns without an entry."""
        self._empty += int((np.diff(block.offsets) == 0).sum())
        self._all += len(block)

    def problems(self) -> Iterator[str]:
        """Yield the share of empty patterns if it is large."""
        if not self._all:
            yield "there are no patterns"
        elif self._empty > _MOST_EMPTY * self._all:
            yield f"{self._empty} of {self._all} patterns hold no photon"


@stream_check("warning", "dispersion")
class Dispersion:
    """Photons per pattern vary at least as much as Poisson numbers of their mean.

    Fluence, orientation and blanks only add to the variance; less of it means that the counts were
    scaled, rounded or averaged.
    """

    def __init__(self, patterns: PatternFile) -> None:
        self._totals: list[Float64[np.ndarray, "_"]] = []

    def add(self, start: int, block: Photons) -> None:
        """Keep the photons of every pattern."""
        self._totals.append(block.totals())

    def problems(self) -> Iterator[str]:
        """Yield the ratio of variance to mean if it is five standard errors below 1."""
        totals = np.concatenate(self._totals) if self._totals else np.zeros(0)
        if len(totals) < _FEWEST_PATTERNS or totals.mean() == 0:
            return
        ratio = totals.var(ddof=1) / totals.mean()
        # the variance of a sample variance, with the fourth moment of a Poisson number
        error = np.sqrt(2 / len(totals) + 1 / (len(totals) * totals.mean()))
        if ratio < 1 - 5 * error:
            yield f"the variance of photons per pattern is {ratio:.3g} times their mean"


@stream_check("warning", "odd_pixels")
class OddPixels:
    """No usable pixel is far brighter or darker than those next to it in |s|.

    Over many orientations the mean pattern depends on |s| and the gain alone. A pixel is hot if,
    relative to its gain, it exceeds the upper quartile of its 16 neighbours inwards and that of 16
    outwards threefold and by 8 standard errors (the 16 innermost pixels are never called hot); dead
    if it is empty where 30 or more are expected.
    """

    def __init__(self, patterns: PatternFile) -> None:
        self._patterns, self._n = patterns, 0
        self._sum = np.zeros(patterns.n_pixels)

    def add(self, start: int, block: Photons) -> None:
        """Add up the photons of every pixel."""
        self._sum += np.bincount(block.pixel, block.count, minlength=len(self._sum))
        self._n += len(block)

    def problems(self) -> Iterator[str]:
        """Yield how many pixels are hot and how many dead."""
        gain = self._patterns.array("gain")
        use = np.flatnonzero(self._patterns.good & (gain > 0) & np.isfinite(gain))
        if self._n < _FEWEST_PATTERNS or len(use) <= 4 * _NEIGHBOURS:
            return
        radius = np.linalg.norm(self._patterns.array("s")[use], axis=1)
        use = use[np.argsort(radius, kind="stable")]
        relative = gain[use] / np.median(gain[use])
        rate = self._sum[use] / relative
        high, low = _neighbours(rate, 0.75, np.maximum), _neighbours(rate, 0.25, np.minimum)
        # photon noise, and speckles that a finite number of orientations has not averaged out
        error = np.sqrt(np.maximum(high, 1) / relative + high**2 / self._n)
        inside = np.arange(len(use)) < _NEIGHBOURS  # nothing further in to compare with
        hot = ~inside & (rate > np.maximum(_FACTOR * high, high + _SIGMAS * error))
        dead = (self._sum[use] == 0) & (low * relative > 30)
        for found, what in ((hot, "hot"), (dead, "dead")):
            if found.any():
                some = ", ".join(str(p) for p in np.sort(use[found])[:5])
                more = " …" if found.sum() > 5 else ""
                yield f"{found.sum()} pixels look {what} (flat index {some}{more})"


def _neighbours(
    rate: Float64[np.ndarray, "n"], quantile: float, combine: np.ufunc
) -> Float64[np.ndarray, "n"]:
    """Combine a quantile of the neighbours before each element and of those after it.

    The first and the last elements, with too few on one side, get the quantile of the other side.
    """
    windows = np.lib.stride_tricks.sliding_window_view(rate, _NEIGHBOURS)
    level = np.quantile(windows, quantile, axis=1)
    before = np.concatenate([np.full(_NEIGHBOURS, np.nan), level[:-1]])
    after = np.concatenate([level[1:], np.full(_NEIGHBOURS, np.nan)])
    return combine(
        np.where(np.isnan(before), after, before), np.where(np.isnan(after), before, after)
    )
