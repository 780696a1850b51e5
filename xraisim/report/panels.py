"""The panels that every result has: a figure or a table with a title and a caption.

A panel is a function of a run that returns a :class:`Section`, a text that says what is missing
for it, or None where there is nothing to say. A method's own panels are such functions too.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from xraisim.core.json_text import to_json
from xraisim.figure_axes import COLOURS
from xraisim.files.patterns import PatternReader
from xraisim.html_page import inline
from xraisim.report import patterns, poses, volumes
from xraisim.report.run import Run

_HALVES = (
    "Pearson correlation of the half-sets' intensities in each shell, the shell's mean removed. A "
    "correlation of 0.143 between halves means one of 0.5 of all data with the truth, where noise "
    "alone tells the halves apart (Rosenthal & Henderson 2003). The resolution is the first "
    "crossing, going outwards."
)
_PROFILE = "Means over shells of |s|, from the beamstop to the outermost pixel used."
_SLICES = (
    "Central planes, logarithmic, with circles of resolution. Grey: never measured (the beamstop "
    "and beyond the outermost pixels), or zero."
)
_DENSITY = "Planes through the density's centre of mass, in units of its maximum."
_DISTRIBUTIONS = "Lines mark medians; the outermost 0.2 % on either side are drawn at the edges."
_COVERAGE = (
    "Where the beam came from, seen from the particle: Rᵀz of every pattern on a map of equal "
    "area, +x in the middle, +z above. The standard deviation over cells is {spread:.2f}; chance "
    "alone makes it {noise:.2f} for uniform directions."
)
_NEIGHBOURS = (
    "Angle from each of {count:,} poses to the nearest other one; the median is {found:.2f}°, by "
    "chance it is {uniform:.2f}° for uniform poses. Much smaller: poses pile up."
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
_MISFIT, _LOGLIK = "misfit (σ)", "log-likelihood (nats)"
_COLUMNS = {
    "fluence": "relative fluence",
    "weight": "weight (0: outlier)",
    "misfit": _MISFIT,
    "loglik": _LOGLIK,
    "occupancy": "probability of the best orientation",
    "probability": "encoder's probability of its first choice",
    "class_probability": "probability of the class",
    "mutual_information": "mutual information (nats)",
    "error_deg": "standard error of the pose (degrees)",
    "turned_deg": "turned by the last round (degrees)",
}
_NARROW_INCHES = 8


@dataclass(frozen=True, kw_only=True)
class Section:
    """A figure, or rows of a table that begin with a name, under a title, with a caption below."""

    title: str
    caption: str
    figure: Figure | None = None
    table: Sequence[Sequence[object]] = ()

    @property
    def key(self) -> str:
        """The section's name within the page, lower case with hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def narrow(self) -> bool:
        """Whether two such sections stand side by side on a wide page."""
        return self.figure is not None and self.figure.get_figwidth() <= _NARROW_INCHES

    def drawn(self) -> Markup:
        """Return the figure as markup."""
        return Markup("") if self.figure is None else inline(self.figure, self.key)


Panel = Callable[[Run], Section | str | None]


def table_of(run: Run, name: str, title: str, caption: str) -> Section | None:
    """Return the figure of a result that is a list of objects as a table, if it is one."""
    listed = run.result.figures.get(name) if run.result else None
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    if not rows:
        return None
    names = list(rows[0])
    table = [names, *([in_words(row.get(name)) for name in names] for row in rows)]
    return Section(title=title, table=table, caption=caption)


def in_words(value: object) -> str:
    """Return a value of a result: numbers short, lists with commas, the rest as JSON."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(in_words(item) for item in value)
    return value if isinstance(value, str) else to_json(value)


def half_sets(run: Run) -> Section | str:
    """Return the half-sets' correlation: of every round that logged it, else of the volumes."""
    figure = volumes.half_set_curves(run.events)
    if figure is None and run.halves is not None:
        figure = volumes.half_sets(run.halves, run.s_range)
    if figure is None:
        return "the agreement of half-sets, which this run has none of (so far)"
    return Section(title="Agreement of half-sets", figure=figure, caption=_HALVES)


def profile(run: Run) -> Section | None:
    """Return the mean intensity over |s|."""
    if not run.volumes:
        return None
    figure = volumes.profile(run.named_volumes(), run.s_range)
    return Section(title="Intensity by resolution", figure=figure, caption=_PROFILE)


def slices(run: Run) -> Section | str:
    """Return the central planes of the intensities."""
    if not run.volumes:
        return "the intensity, which is not written (yet)"
    figure = volumes.slices(run.named_volumes(), run.s_range)
    return Section(title="Intensity", figure=figure, caption=_SLICES)


def density(run: Run) -> Section | str:
    """Return planes through a density."""
    if run.density is None:
        return "a density: phase the intensity (xrai-baseline phase) and name the map by --density"
    return Section(title="Density", figure=volumes.density_slices(run.density), caption=_DENSITY)


def distributions(run: Run) -> Section | str | None:
    """Return histograms of what is known of every pattern."""
    if "orientations" not in run.poses:
        return "poses, which are not written (yet)"
    columns = _columns(run)
    if not columns:
        return None
    figure = poses.distributions(columns)
    return Section(title="Patterns in numbers", figure=figure, caption=_DISTRIBUTIONS)


def _columns(run: Run) -> dict[str, np.ndarray]:
    """Return what there is to make histograms of, by label."""
    found = {label: run.poses[name] for name, label in _COLUMNS.items() if name in run.poses}
    angles = poses.encoder_angles(run.poses, run.symmetry)
    if angles is not None:
        found["encoder to pose (degrees)"] = angles
    if run.scores is not None:
        found.setdefault(_MISFIT, run.scores.misfit)
        seen = run.scores.numbers < len(run.poses["orientations"])
        if _LOGLIK in found:
            photons = np.where(run.scores.photons > 0, run.scores.photons, np.nan)[seen]
            loglik = found[_LOGLIK][run.scores.numbers[seen]]
            found["log-likelihood per photon (nats)"] = loglik / photons
    return {label: values for label, values in found.items() if np.isfinite(values).any()}


def view_directions(run: Run) -> Section | str | None:
    """Return the map of view directions."""
    posed = _posed(run)
    if posed is None:
        return None
    if len(posed) < 2:
        return "view directions, which need patterns with poses"
    found = poses.coverage(posed)
    caption = _COVERAGE.format(spread=found.spread, noise=found.noise)
    return Section(title="View directions", figure=poses.coverage_map(found), caption=caption)


def distances(run: Run) -> Section | None:
    """Return how far poses are from their nearest neighbours."""
    posed = _posed(run)
    if posed is None or len(posed) < 2:
        return None
    found = poses.nearest_neighbours(posed)
    caption = _NEIGHBOURS.format(
        count=len(found.angle_deg),
        found=float(np.median(found.angle_deg)),
        uniform=found.uniform_median_deg,
    )
    return Section(title="Distances between poses", figure=poses.spacing(found), caption=caption)


def _posed(run: Run) -> np.ndarray | None:
    """Return the orientations that are known, None where there are no poses."""
    found = run.poses.get("orientations")
    return None if found is None else found[np.isfinite(found).all(1)]


def compared(run: Run) -> Section | str:
    """Return the worst and the best patterns beside their predictions."""
    if run.patterns is None:
        return "patterns and their predictions; name their file by --patterns"
    scores = run.scores
    if scores is None:
        return "patterns and their predictions, which need volume and poses"
    known = scores.misfit[np.isfinite(scores.misfit)]
    if not len(known):
        return "patterns and their predictions: no pattern with photons has a pose"
    with PatternReader(run.patterns) as reader:
        predictor = run.predictor(reader.n_patterns)
        assert predictor is not None
        figure = patterns.comparison(predictor, reader, scores)
    caption = _PATTERNS.format(looked_at=len(scores.numbers), median=float(np.median(known)))
    return Section(title="Worst and best patterns", figure=figure, caption=caption)


def seconds(run: Run) -> Section | None:
    """Return the seconds of every part of a finished run, ``seconds_…`` of its figures."""
    found = {
        name.removeprefix("seconds_").replace("_", " "): value
        for name, value in (run.result.figures if run.result else {}).items()
        if name.startswith("seconds_") and isinstance(value, int | float) and value >= 0
    }
    if not found:
        return None
    figure = Figure(figsize=(6, 0.9 + 0.32 * len(found)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(found), list(found.values()), color=COLOURS[0], height=0.6)
    axes.bar_label(bars, fmt="{:,.1f}", padding=4, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("seconds")
    return Section(title="Time", figure=figure, caption="Seconds in each part of the run.")


COMMON: tuple[Panel, ...] = (
    half_sets, profile, slices, density, distributions, view_directions, distances, compared,
    seconds,
)  # fmt: skip
