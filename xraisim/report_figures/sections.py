"""Sections of a page: pictures with what to know about them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.html_page import inline
from xraisim.report_figures import patterns as pattern_figures
from xraisim.report_figures import poses as pose_figures
from xraisim.report_figures import volumes as volume_figures
from xraisim.report_figures.patterns import Predictor, Scores

HALVES = (
    "Pearson correlation of the half-sets' intensities in each shell, the shell's mean removed. A "
    "correlation of 0.143 between halves means one of 0.5 of all data with the truth, where noise "
    "alone tells the halves apart (Rosenthal & Henderson 2003)."
)
_SLICES = (
    "Central planes, logarithmic, with circles of resolution. Grey: never measured (the beamstop "
    "and beyond the outermost pixels), or zero."
)
_DISTRIBUTIONS = "Lines mark medians; the outermost 0.2 % on either side are drawn at the edges."
_COVERAGE = (
    "Where the beam came from, seen from the particle: Rᵀz of every pattern on a map of equal "
    "area, +x in the middle, +z above. The standard deviation over cells is {spread:.2f}; chance "
    "alone makes it {noise:.2f} for uniform directions."
)
_PATTERNS = (
    "Left the worst, right the best fits of {looked_at:,} patterns looked at, each beside the "
    "expected photons φ · gain · V(Rᵀs) + background, on a scale of its own. σ: the misfit, how "
    "far the squared deviations of the counts lie above those that photon noise alone makes, in "
    "standard deviations. A true prediction gives 0 ± 1; a wrong orientation, a blurred volume or "
    "another particle more, in proportion to the photons; a volume that has learnt the pattern's "
    "own noise less. The median is {median:+.1f} σ. Pixels beyond the run's resolution are grey, "
    "like masked ones."
)
_NARROW_INCHES = 8


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure and what it shows in words."""

    figure: Figure
    text: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """Pictures under one title, side by side if they are several, with a note below."""

    title: str
    pictures: tuple[Picture, ...]
    note: str

    @property
    def key(self) -> str:
        """The section's name within the page, lower case with hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def narrow(self) -> bool:
        """Whether two such sections stand side by side on a wide page."""
        return sum(picture.figure.get_figwidth() for picture in self.pictures) <= _NARROW_INCHES

    def drawn(self) -> list[tuple[Markup, str]]:
        """Return every picture as markup, and what it shows in words."""
        return [
            (inline(picture.figure, f"{self.key}-{number}"), picture.text)
            for number, picture in enumerate(self.pictures)
        ]


def slices(volumes: Mapping[str, Volume], s_range: tuple[float, float]) -> Section:
    """Return the central planes of intensities."""
    figure = volume_figures.slices(volumes, s_range)
    picture = Picture(figure=figure, text="Central slices of the intensity")
    return Section(title="Intensity", pictures=(picture,), note=_SLICES)


def distributions(columns: Mapping[str, np.ndarray]) -> Section:
    """Return histograms of columns over patterns, by their labels."""
    figure = pose_figures.distributions(columns)
    picture = Picture(figure=figure, text="Distributions over patterns")
    return Section(title="Patterns in numbers", pictures=(picture,), note=_DISTRIBUTIONS)


def view_directions(orientations: np.ndarray) -> Section:
    """Return the map of view directions of poses [N, 4] without NaN."""
    found = pose_figures.coverage(orientations)
    picture = Picture(figure=pose_figures.coverage_map(found), text="Map of view directions")
    note = _COVERAGE.format(spread=found.spread, noise=found.noise)
    return Section(title="View directions", pictures=(picture,), note=note)


def compared(run: Predictor, reader: PatternReader, scores: Scores) -> Section:
    """Return the worst and the best patterns beside their predictions."""
    figure = pattern_figures.comparison(run, reader, scores)
    known = scores.misfit[np.isfinite(scores.misfit)]
    median = float(np.median(known)) if len(known) else float("nan")
    return Section(
        title="Worst and best patterns",
        pictures=(Picture(figure=figure, text="Patterns beside their predictions"),),
        note=_PATTERNS.format(looked_at=len(scores.numbers), median=median),
    )
