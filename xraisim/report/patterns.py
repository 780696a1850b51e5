"""Patterns beside what a run predicts of them: λ = φ · gain · V(Rᵀs) + background."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.errors import FormatError
from xraisim.core.misfit import goodness
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Photons, Pixels, Volume
from xraisim.files.patterns import PatternReader
from xraisim.inspection.figure import show
from xraisim.inspection.image import Assembly, read_assembly
from xraisim.inspection.sampling import spans

_MOST_PATTERNS = 10_000
_MOST_SAMPLES = 4 * 10**8  # some ten seconds of slicing
_BLOCK_SAMPLES = 2**22
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How well patterns fit their predictions; arrays over the n patterns that were looked at.

    ``numbers`` int64; ``photons`` float64, within the run's pixels; ``misfit`` float64, see
    :mod:`xraisim.core.misfit`, NaN without photons, a pose, or a class volume; ``fluence`` float64:
    the run's, where it tells none what fits best.
    """

    numbers: np.ndarray
    photons: np.ndarray
    misfit: np.ndarray
    fluence: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """What a run found, as far as it predicts patterns.

    ``run``: where it lies, for messages. ``volumes``: intensities by the number of their class.
    ``s_max_per_angstrom``: |s| of the outermost pixel used. Of N patterns: ``orientations``
    [N, 4] (NaN: none), ``fluence`` [N] (NaN: not told) and, needed with several volumes,
    ``class_id`` [N].
    """

    run: Path
    volumes: Mapping[int, Volume]
    s_max_per_angstrom: float
    orientations: np.ndarray
    fluence: np.ndarray
    class_id: np.ndarray | None = None

    def predict(
        self, pixels: Pixels, numbers: np.ndarray, fluence: np.ndarray
    ) -> Float[Tensor, "n P"]:
        """Return the expected photons of patterns; NaN without a pose, or a class volume.

        ``fluence``: of each of them, [n].
        """
        out = torch.full((len(numbers), len(pixels)), torch.nan)
        for volume, rows, pose in self._classes(numbers):
            shot = torch.from_numpy(fluence[rows]).float()
            cut = slice_volume(volume.values, rotations.to_matrix(pose), pixels.s, volume.spacing)
            signal = shot[:, None] * pixels.gain * cut.clamp_min(0)
            out[torch.from_numpy(rows)] = signal + pixels.background
        return out

    def fit(self, pixels: Pixels, photons: Photons, numbers: np.ndarray) -> Scores:
        """Return the scores of patterns, whose photons are at hand."""
        misfit, fluence = np.full((2, len(numbers)), np.nan)
        for volume, rows, pose in self._classes(numbers):
            found = goodness(volume, pixels, photons.take(rows), pose)
            misfit[rows], fluence[rows] = found.misfit.numpy(), found.fluence.numpy()
        totals, told = photons.totals(len(pixels)), self.fluence[numbers]
        misfit[totals == 0] = np.nan
        fluence = np.where(np.isfinite(told), told, fluence)
        return Scores(numbers=numbers, photons=totals, misfit=misfit, fluence=fluence)

    def _classes(self, numbers: np.ndarray) -> Iterator[tuple[Volume, np.ndarray, Tensor]]:
        """Yield each volume with the rows, of the patterns asked for, that it is of, and poses."""
        orientations = self.orientations[numbers]
        posed = np.isfinite(orientations).all(1)
        for number, volume in self.volumes.items():
            mine = self.class_id[numbers] == number if self.class_id is not None else True
            rows = np.flatnonzero(posed & mine)
            if len(rows):
                yield volume, rows, torch.from_numpy(orientations[rows]).float()


def score(run: Predictor, reader: PatternReader) -> Scores:
    """Return the scores of at most 10,000 patterns, in blocks spread evenly over the file."""
    pixels = used_pixels(run, reader)
    most = min(_MOST_PATTERNS, max(2 * _SHOWN, _MOST_SAMPLES // len(pixels)))
    blocks = [
        run.fit(pixels, reader.read(start, stop), np.arange(start, stop))
        for start, stop in _blocks(reader, most, max(1, _BLOCK_SAMPLES // len(pixels)))
    ]
    names = [one.name for one in fields(Scores)]
    return Scores(**{name: np.concatenate([getattr(b, name) for b in blocks]) for name in names})


def used_pixels(run: Predictor, reader: PatternReader) -> Pixels:
    """Return the pixels that the run's volumes reach.

    Raises :class:`FormatError` if the patterns cannot be those of the run.
    """
    patterns = len(run.orientations)
    if patterns != reader.n_patterns:
        raise FormatError(
            f"{reader.path} holds {reader.n_patterns:,} patterns, but {run.run} has poses of "
            f"{patterns:,}; give the file that the run was made from"
        )
    count = reader.pixels.count_below(run.s_max_per_angstrom)
    if count == 0:
        reach, begin = run.s_max_per_angstrom, float(reader.pixels.radius[0])
        raise FormatError(
            f"the pixels of {reader.path} begin at |s| = {begin:.4g} Å⁻¹, beyond the run's "
            f"{reach:.4g} Å⁻¹; give the file that the run was made from"
        )
    return reader.pixels.first(count)


def _blocks(reader: PatternReader, most: int, size: int) -> Iterator[tuple[int, int]]:
    for start, stop in spans(reader, most):
        for first in range(start, stop, size):
            yield first, min(first + size, stop)


def comparison(run: Predictor, reader: PatternReader, scores: Scores) -> Figure:
    """Return the patterns of largest and of smallest misfit, each beside its prediction."""
    known = np.flatnonzero(np.isfinite(scores.misfit))
    order = known[np.argsort(-scores.misfit[known])]
    shown = min(_SHOWN, len(order) // 2)
    pixels, assembly = used_pixels(run, reader), read_assembly(reader.files[0])
    figure = Figure(figsize=(12, 3.15 * _SHOWN), layout="constrained")
    grid = figure.subplots(_SHOWN, 4)
    for axes in grid.flat:
        axes.set_axis_off()
    for column, word, chosen in ((0, "worst", order[:shown]), (2, "best", order[::-1][:shown])):
        for row, place in enumerate(chosen):
            number = int(scores.numbers[place])
            counts = reader.read(number, number + 1).dense(len(pixels))[0].numpy().astype(np.int64)
            fluence = scores.fluence[place : place + 1]
            rate = run.predict(pixels, np.array([number]), fluence)[0].numpy()
            photons, sigma = scores.photons[place], scores.misfit[place]
            title = f"{word}: {number:,}, {photons:,.0f} photons"
            _draw(grid[row, column], counts, pixels, assembly, title)
            _draw(grid[row, column + 1], rate, pixels, assembly, f"predicted, {sigma:+.1f} σ")
    return figure


def _draw(axes: Axes, values: np.ndarray, pixels: Pixels, assembly: Assembly, title: str) -> None:
    """Draw the values [P] of the used pixels where these are."""
    rows, columns = pixels.shape
    whole, masked = np.zeros(rows * columns, values.dtype), np.ones(rows * columns, bool)
    whole[pixels.index.numpy()] = values
    masked[pixels.index.numpy()] = False
    axes.set_axis_on()
    axes.figure.colorbar(show(axes, whole, masked, assembly, title), ax=axes, shrink=0.8)
