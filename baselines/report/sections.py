"""The sections of the page: pictures with what to know about them, and what is missing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from baselines.report import patterns as pattern_figures
from baselines.report import poses as pose_figures
from baselines.report import progress, volumes
from baselines.report.patterns import Scores
from baselines.report.run import Run
from xraisim.files.patterns import PatternReader
from xraisim.html_page import embed

_PROGRESS = (
    "Numbers above the panels are levels of the march, which reach further and further out; the "
    "log-likelihood is of the tempered posterior and of the level's pixels, so it compares within "
    "a level only. Colours tell random starts apart; the levels after them are dark."
)
_STARTS = "Each start from its first iteration; the likeliest goes on. The first leaps are cut off."
_SLICES = (
    "Central planes, logarithmic, with circles of resolution. Grey: never measured (the beamstop "
    "and beyond the outermost pixels), or zero."
)
_HALVES = (
    "Pearson correlation of the half-sets' intensities in each shell, the shell's mean removed. A "
    "correlation of 0.143 between halves means one of 0.5 of all data with the truth, where noise "
    "alone tells the halves apart (Rosenthal & Henderson 2003)."
)
_PATTERNS = (
    "Left the worst, right the best fits of {looked_at:,} patterns looked at, each beside the "
    "expected photons φ · gain · V(Rᵀs) + background, on a scale of its own. σ: how far the "
    "likelihood of where in each shell the photons fell lies from its expectation under the "
    "prediction, in standard deviations; a true prediction gives 0 ± 1, a wrong orientation or "
    "noise in the volume less, speckles that are blurred in the volume more. The median is "
    "{median:+.1f} σ. Pixels beyond the run's resolution are grey, like masked ones."
)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An embedded figure and what it shows in words."""

    address: str
    text: str

    @classmethod
    def of(cls, figure: Figure, text: str, form: str = "svg") -> "Picture":
        """Embed a figure."""
        return cls(address=embed(figure, form), text=text)


@dataclass(frozen=True, kw_only=True)
class Section:
    """Pictures under one title, side by side if they are several, with a note below."""

    title: str
    pictures: tuple[Picture, ...]
    note: str


def sections_of(run: Run, patterns: Path | None) -> tuple[list[Section], list[str]]:
    """Return the sections that the run allows, and what keeps others from being there."""
    scores, compared, missing = _patterns(run, patterns)
    found = _progress(run)
    if run.volumes:
        found += _intensity(run)
    else:
        missing.append("the intensity, which the run writes when it is finished")
    if run.poses:
        found += _poses(run, scores)
    else:
        missing.append("poses, which the run writes when it is finished")
    return found + compared, missing


def _patterns(run: Run, patterns: Path | None) -> tuple[Scores | None, list[Section], list[str]]:
    """Return scores of the patterns and the worst and best of them, or why there are none."""
    if patterns is None:
        return None, [], ["patterns and their predictions; name their file with --patterns"]
    if not pattern_figures.can_predict(run):
        return None, [], ["patterns and their predictions, which need the run's volume and poses"]
    with PatternReader(patterns) as reader:
        scores = pattern_figures.score(run, reader)
        return scores, [_compared(run, reader, scores)], []


def _progress(run: Run) -> list[Section]:
    curves = Picture.of(progress.progress(run), "Figures of every iteration")
    found = [Section(title="Progress", pictures=(curves,), note=_PROGRESS)]
    starts = progress.starts(run)
    if starts is not None:
        picture = Picture.of(starts, "Likelihood of the random starts")
        found.append(Section(title="Random starts", pictures=(picture,), note=_STARTS))
    return found


def _intensity(run: Run) -> list[Section]:
    planes = Picture.of(volumes.slices(run), "Central slices of the intensity", "png")
    pictures = [Picture.of(volumes.profile(run), "Mean intensity by resolution")]
    halves = volumes.half_sets(run)
    if halves is not None:
        pictures.append(Picture.of(halves, "Correlation of the half-sets by resolution"))
    return [
        Section(title="Intensity", pictures=(planes,), note=_SLICES),
        Section(
            title="Intensity by resolution",
            pictures=tuple(pictures),
            note=_HALVES if halves is not None else "The run has no half-sets.",
        ),
    ]


def _poses(run: Run, scores: Scores | None) -> list[Section]:
    found = []
    columns = _columns(run, scores)
    if columns:
        picture = Picture.of(pose_figures.distributions(columns), "Distributions over patterns")
        note = "Lines mark medians; the outermost 0.2 % on either side are drawn at the edges."
        found.append(Section(title="Patterns in numbers", pictures=(picture,), note=note))
    if "orientations" in run.poses:
        posed = np.isfinite(run.poses["orientations"]).all(1)
        cover = pose_figures.coverage(run.poses["orientations"][posed])
        picture = Picture.of(pose_figures.coverage_map(cover), "Map of view directions", "png")
        note = (
            "Where the beam came from, seen from the particle: Rᵀz of every pattern on a map of "
            "equal area, +x in the middle, +z above. The standard deviation over cells is "
            f"{cover.spread:.2f}; chance alone makes it {cover.noise:.2f} for uniform directions."
        )
        found.append(Section(title="View directions", pictures=(picture,), note=note))
    return found


def _columns(run: Run, scores: Scores | None) -> dict[str, np.ndarray]:
    """Return what there is to make histograms of, by label."""
    labels = {
        "occupancy": "probability of the best orientation",
        "fluence": "relative fluence",
        "mutual_information": "mutual information (nats)",
        "class_probability": "probability of the class",
    }
    found = {label: run.poses[name] for name, label in labels.items() if name in run.poses}
    likelihood = run.poses.get("likelihood")
    if scores is not None:
        if likelihood is not None:
            bright = np.where(scores.photons > 0, scores.photons, np.nan)
            found["log-likelihood per photon (nats)"] = likelihood[scores.numbers] / bright
        found["fit to the prediction (σ)"] = scores.deviation
    elif likelihood is not None:
        found["log-likelihood (nats)"] = likelihood
    return {label: values for label, values in found.items() if values.ndim == 1}


def _compared(run: Run, reader: PatternReader, scores: Scores) -> Section:
    figure = pattern_figures.comparison(run, reader, scores)
    known = scores.deviation[np.isfinite(scores.deviation)]
    median = float(np.median(known)) if len(known) else float("nan")
    return Section(
        title="Worst and best patterns",
        pictures=(Picture.of(figure, "Patterns beside their predictions", "png"),),
        note=_PATTERNS.format(looked_at=len(scores.numbers), median=median),
    )
