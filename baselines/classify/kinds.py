"""Figures of every class, and what it is likely to be by stated rules."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from baselines.classify.assign import Assignment
from baselines.classify.averages import Classes, without_structure
from baselines.classify.stage import Stage

BLANK, ROUND, BRIGHT, PARTICLE, EMPTY = "blank", "round", "bright", "particle", "empty"
_DIM = 0.1  # of the mean signal, below which a class is blank
_MANY = 1.5  # times the median fluence of the classes of particles: more than one particle
_FITTED = 2.0  # times what noise gives to a fit: turning patterns to fit it gives as much again
_NATS = 3.0  # per pattern, on top of that
_LOCKED = 0.5  # |⟨exp 4iα⟩|: a quarter turn of the detector's lattice is all that has a direction


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """A class in figures; all means are over the patterns whose likeliest class it is.

    ``photons``: per pattern, background included; ``contrast``: standard deviation of the average
    about a round one, relative to this, weighted by expected photons; ``structure``: nats per
    pattern by which the average explains the patterns better than a round one; ``noise``: what
    fitting an average to as many round patterns gains; ``locked``: |⟨exp 4iα⟩| of the in-plane
    angles. None where a class has no patterns.
    """

    number: int
    kind: str
    patterns: int
    share: float
    photons: float | None = None
    fluence: float | None = None
    contrast: float | None = None
    structure: float | None = None
    noise: float | None = None
    locked: float | None = None
    log_likelihood_per_photon: float | None = None


def statistics(stage: Stage, classes: Classes, found: Assignment) -> list[Statistics]:
    """Return the figures of all classes, blanks first.

    A class is *blank* below a tenth of the mean fluence; *round* if its structure exceeds twice
    what noise gives by less than 3 nats, or if its patterns are turned by quarter turns only,
    ``locked`` above 0.5, as those are whose only structure is the lattice of pixels; *bright* above
    1.5 times the median fluence of the classes that are neither; a *particle* otherwise.
    """
    contrast = _contrast(stage, classes)
    class_id = found.class_id
    rows = [_figures(stage, found, class_id == c, c, contrast) for c in range(len(classes) + 1)]
    kinds = [row.pop("kind") for row in rows]
    bodies = [r["fluence"] for r, kind in zip(rows, kinds, strict=True) if kind == PARTICLE]
    limit = _MANY * float(torch.tensor(bodies).median()) if bodies else 0.0
    for number, row in enumerate(rows):
        if kinds[number] == PARTICLE and row["fluence"] > limit:
            kinds[number] = BRIGHT
    return [Statistics(kind=kind, **row) for kind, row in zip(kinds, rows, strict=True)]


def _figures(
    stage: Stage, found: Assignment, mine: Tensor, number: int, contrast: list[float]
) -> dict[str, Any]:
    count = int(mine.sum())
    row: dict[str, Any] = {"number": number, "patterns": count, "share": count / len(mine)}
    if count == 0:
        return row | {"kind": BLANK if number == 0 else EMPTY}
    row |= {
        "photons": float(stage.survey.totals[mine].mean()),
        "fluence": float(found.fluence[mine].mean()),
    }
    if number == 0:
        return row | {"kind": BLANK}
    angle = found.angle[mine]
    row |= {
        "contrast": contrast[number - 1],
        "structure": float(found.structure[mine].mean()),
        "locked": float(torch.polar(torch.ones_like(angle), 4 * angle).mean().abs()),
        "noise": degrees_of_freedom(stage) / (2 * count),
        "log_likelihood_per_photon": float(found.per_photon[mine].mean()),
    }
    return row | {"kind": _kind(row)}


def _kind(row: dict[str, Any]) -> str:
    if row["fluence"] < _DIM:
        return BLANK
    round_within_noise = row["structure"] < _FITTED * row["noise"] + _NATS
    return ROUND if round_within_noise or row["locked"] > _LOCKED else PARTICLE


def degrees_of_freedom(stage: Stage) -> float:
    """Return how many values of an average are free: two per speckle, along rings and across."""
    grid = stage.grid
    per_ring = (stage.taper.square().sum(1) * 2).cpu()
    across = stage.kernel.square().sum(1).cpu()
    return float((per_ring * across)[: grid.rings].sum())


def _contrast(stage: Stage, classes: Classes) -> list[float]:
    flat = without_structure(stage, classes.rate)
    gain = stage.on_points(stage.detector.gain[:, 0].real / stage.counts)
    weight = flat * gain
    square = (classes.rate / flat - 1).square() * weight
    return (square.sum(1) / weight.sum(1)).sqrt().tolist()
