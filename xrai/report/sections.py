"""The sections of the page, as far as the run allows, and what keeps others from being there."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from xrai.report import poses as pose_figures
from xrai.report import progress
from xrai.report.density import density_slices
from xrai.report.run import Run
from xraisim.files.patterns import PatternReader
from xraisim.report_figures import sections as shared
from xraisim.report_figures import volumes
from xraisim.report_figures.patterns import Scores, score
from xraisim.report_figures.resolution import resolution_of
from xraisim.report_figures.sections import HALVES, Picture, Section

Found = tuple[list[Section], list[str]]

_PROGRESS = (
    "Rounds over the patterns that had been taken in. The limit is how far out in |s| "
    "the round refined; where the limit moves, more pixels join and log-likelihoods before and "
    "after do not compare. Misfit: how far a pattern's squared deviations lie above those that "
    "photon noise alone makes, in standard deviations; 0 ± 1 for a true model. Resolutions go by "
    "the rule in their name."
)
_STARTS = "Every start begins from nothing at low resolution; the likeliest (large) goes on."
_CURVES = (
    "Volumes from the even and from the odd patterns, compared shell by shell. The resolution is "
    "the first crossing of 0.143, going outwards."
)
_PROFILE = "Means over shells of |s|, from the beamstop to the outermost pixel used."
_DENSITY = "Planes through the density's centre of mass, in units of its maximum."
_NEIGHBOURS = (
    "Angle from each of {count:,} poses to the nearest other one; the median is {found:.2f}°, by "
    "chance it is {uniform:.2f}° for uniform poses. Much smaller: poses pile up."
)
_TIME = "Seconds in each part of the run."
_COLUMNS = {
    "fluence": "relative fluence",
    "weight": "weight (0: outlier)",
    "misfit": "misfit (σ)",
    "loglik": "log-likelihood (nats)",
    "probability": "encoder's probability of its first choice",
    "error_deg": "standard error of the pose (degrees)",
    "turned_deg": "turned by the last round (degrees)",
}
_ANGLES = "encoder to pose (degrees)"
UNTIL_WRITTEN = "which a run writes with its first checkpoint"


def sections_of(run: Run, patterns: Path | None) -> Found:
    """Return the sections that the run allows, and what is missing for others.

    ``patterns``: the file that the run was made from, to show patterns beside predictions.
    """
    scores, compared, unpredicted = _patterns(run, patterns)
    parts = [_progress(run), _half_sets(run), _volumes(run), _density(run), _poses(run, scores)]
    sections = [section for found, _ in parts for section in found]
    missing = [what for _, lacking in parts for what in lacking]
    return sections + compared + _beside(run), missing + unpredicted


def _one(title: str, figure: Figure, text: str, note: str) -> Section:
    return Section(title=title, pictures=(Picture(figure=figure, text=text),), note=note)


def _progress(run: Run) -> Found:
    if not run.rounds:
        return [], ["progress, which begins with the first round"]
    figure = progress.progress(run)
    return [_one("Progress", figure, "Figures of every round", _PROGRESS)], []


def _half_sets(run: Run) -> Found:
    figure = progress.half_set_curves(run)
    if figure is not None:
        text = "Correlation of the half-sets in every round"
        return [_one("Agreement of half-sets", figure, text, _CURVES)], []
    if run.halves is not None:
        figure = volumes.half_sets(run.halves, run.s_range)
        return [_one("Agreement of half-sets", figure, "Correlation of the half-sets", HALVES)], []
    return [], ["the agreement of half-sets, which this run has none of (so far)"]


def _volumes(run: Run) -> Found:
    if run.intensity is None:
        return [], [f"the intensity, {UNTIL_WRITTEN}"]
    named = {"intensity": run.intensity}
    profile = volumes.profile(named, run.s_range)
    return [
        _one("Intensity by resolution", profile, "Mean intensity over s", _PROFILE),
        shared.slices(named, run.s_range),
    ], []


def _density(run: Run) -> Found:
    if run.density is None:
        return [], [
            "a density: phase the intensity (xrai-baseline phase) and name the map with --density"
        ]
    figure = density_slices(run.density)
    return [_one("Density", figure, "Central slices of the density", _DENSITY)], []


def _poses(run: Run, scores: Scores | None) -> Found:
    if "orientations" not in run.poses:
        return [], [f"poses, {UNTIL_WRITTEN}"]
    found = []
    columns = _columns(run, scores)
    if columns:
        found.append(shared.distributions(columns))
    posed = run.poses["orientations"]
    posed = posed[np.isfinite(posed).all(1)]
    if len(posed) < 2:
        return found, ["view directions, which need patterns with poses"]
    found.append(shared.view_directions(posed))
    neighbours = pose_figures.nearest_neighbours(posed)
    note = _NEIGHBOURS.format(
        count=len(neighbours.angle_deg),
        found=float(np.median(neighbours.angle_deg)),
        uniform=neighbours.uniform_median_deg,
    )
    figure = pose_figures.spacing(neighbours)
    found.append(_one("Distances between poses", figure, "Nearest neighbours of poses", note))
    return found, []


def _columns(run: Run, scores: Scores | None) -> dict[str, np.ndarray]:
    """Return what there is to make histograms of, by label."""
    found = {label: run.poses[name] for name, label in _COLUMNS.items() if name in run.poses}
    angles = pose_figures.encoder_angles(run.poses, run.symmetry)
    if angles is not None:
        found[_ANGLES] = angles
    if scores is not None:
        found.setdefault(_COLUMNS["misfit"], scores.misfit)
    return {label: c for label, c in found.items() if c.ndim == 1 and np.isfinite(c).any()}


def _patterns(run: Run, patterns: Path | None) -> tuple[Scores | None, list[Section], list[str]]:
    """Return scores of the patterns and the worst and best of them, or why there are none."""
    if patterns is None:
        return None, [], ["patterns and their predictions; name their file with --patterns"]
    with PatternReader(patterns) as reader:
        predictor = run.predictor(reader.n_patterns)
        if predictor is None:
            return None, [], ["patterns and their predictions, which need volume and poses"]
        scores = score(predictor, reader)
        if not np.isfinite(scores.misfit).any():
            return None, [], ["patterns and their predictions: no pattern with photons has a pose"]
        return scores, [shared.compared(predictor, reader, scores)], []


def _beside(run: Run) -> list[Section]:
    """Return what is worth a look now and then: the starts, and where the time went."""
    found = []
    starts, seconds = progress.starts(run), progress.seconds(run)
    if starts is not None:
        found.append(_one("Random starts", starts, "Likelihood of the random starts", _STARTS))
    if seconds is not None:
        found.append(_one("Time", seconds, "Seconds in each part", _TIME))
    return found


def resolution(run: Run) -> tuple[str, str] | None:
    """Return the resolution reached and the rule that gave it, the half-sets' if there are any."""
    found = resolution_of(run.result, run.rounds, run.halves, run.s_range)
    if found is not None:
        return found.text(growing=not run.finished), found.rule
    limits = run.column("d_min_angstrom")
    known = limits[np.isfinite(limits)]
    return (f"{known[-1]:.1f} Å", "limit of the last round, unmeasured") if len(known) else None
