"""The sections of the page: pictures with what to know about them, and what is missing."""

from pathlib import Path

import numpy as np

from baselines.report import progress
from baselines.report.run import Run
from xraisim.files.patterns import PatternReader
from xraisim.report_figures import sections as shared
from xraisim.report_figures import volumes
from xraisim.report_figures.patterns import Scores, score
from xraisim.report_figures.sections import HALVES, Picture, Section

_PROGRESS = (
    "Numbers above the panels are levels of the march, which reach further and further out; the "
    "log-likelihood is of the tempered posterior and of the level's pixels, so it compares within "
    "a level only. Colours tell random starts apart; the levels after them are dark."
)
_STARTS = "Each start from its first iteration; the likeliest goes on. The first leaps are cut off."


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
    predictor = run.predictor()
    if predictor is None:
        return None, [], ["patterns and their predictions, which need the run's volume and poses"]
    with PatternReader(patterns) as reader:
        scores = score(predictor, reader)
        return scores, [shared.compared(predictor, reader, scores)], []


def _progress(run: Run) -> list[Section]:
    curves = Picture(figure=progress.progress(run), text="Figures of every iteration")
    found = [Section(title="Progress", pictures=(curves,), note=_PROGRESS)]
    starts = progress.starts(run)
    if starts is not None:
        picture = Picture(figure=starts, text="Likelihood of the random starts")
        found.append(Section(title="Random starts", pictures=(picture,), note=_STARTS))
    return found


def _intensity(run: Run) -> list[Section]:
    named = run.named_volumes()
    profile = volumes.profile(named, run.s_range)
    pictures = [Picture(figure=profile, text="Mean intensity by resolution")]
    if run.halves is not None:
        halves = volumes.half_sets(run.halves, run.s_range)
        pictures.append(Picture(figure=halves, text="Correlation of the half-sets by resolution"))
    return [
        shared.slices(named, run.s_range),
        Section(
            title="Intensity by resolution",
            pictures=tuple(pictures),
            note=HALVES if run.halves is not None else "The run has no half-sets.",
        ),
    ]


def _poses(run: Run, scores: Scores | None) -> list[Section]:
    found = []
    columns = _columns(run, scores)
    if columns:
        found.append(shared.distributions(columns))
    if "orientations" in run.poses:
        posed = np.isfinite(run.poses["orientations"]).all(1)
        found.append(shared.view_directions(run.poses["orientations"][posed]))
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
    likelihood = run.poses.get("loglik")
    if scores is not None:
        if likelihood is not None:
            bright = np.where(scores.photons > 0, scores.photons, np.nan)
            found["log-likelihood per photon (nats)"] = likelihood[scores.numbers] / bright
        found["misfit (σ)"] = scores.misfit
    elif likelihood is not None:
        found["log-likelihood (nats)"] = likelihood
    return {label: values for label, values in found.items() if values.ndim == 1}
