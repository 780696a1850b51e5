"""One iteration: likelihoods of every class and in-plane angle, and new averages from them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.classify.averages import (
    Classes,
    Sums,
    brightness,
    moments,
    ring_mean,
)
from baselines.classify.config import ClassifyConfig
from baselines.classify.stage import Stage
from baselines.emc.candidates import column_mass
from baselines.emc.comparison import Comparison
from baselines.emc.expand import Known, share_rows, template_rows
from baselines.emc.posterior import posterior
from baselines.emc.stream import of_like_fluence
from xraisim.core.processes import Processes

_HALVES_FLOATS = 2**24  # log-likelihoods that are held at once
_LEAST = 0.2  # of the mean signal, which every class expects: where a mask hides the rest


def compare(stage: Stage, rate: Float[Tensor, "K N"], fluence: float) -> Comparison:
    """Return what patterns of about one fluence are held against, at every in-plane angle."""
    grid, detector = stage.grid, stage.detector
    known = Known(s_max_per_angstrom=float(grid.radius[-1]), fluence=fluence)
    shares = share_rows(grid, detector, rate, known) if detector.has_background else None
    return Comparison(grid, template_rows(grid, detector, rate, known), shares, grid.rings)


@dataclass(kw_only=True)
class Records:
    """What an iteration finds of each pattern, block by block, on the CPU.

    ``best`` [N, 2]: class and angle; ``evidence``: (1/β) log Σ π exp(β LL) without Σ log k!;
    ``loglik``: LL at the best one; ``information``: nats that the posterior gained.
    """

    best: Int[Tensor, "N 2"]
    evidence: Float[Tensor, "N"]
    loglik: Float[Tensor, "N"]
    information: Float[Tensor, "N"]

    @classmethod
    def empty(cls, patterns: int) -> "Records":
        """Return records to be filled in block by block."""
        zeros = torch.zeros(patterns, dtype=torch.float64)
        return cls(
            best=torch.zeros(patterns, 2, dtype=torch.int64),
            evidence=zeros,
            loglik=zeros.clone(),
            information=zeros.clone(),
        )

    def gather(self, processes: Processes) -> None:
        """Fill in the patterns of the other processes; each has filled in its own."""
        processes.sum(self.best, self.evidence, self.loglik, self.information)


def groups(
    stage: Stage, fluence: Float[Tensor, "N"], classes: int
) -> Iterator[tuple[Tensor, float]]:
    """Return (patterns, their mean fluence): all lit ones at once where there is no background."""
    if not stage.detector.has_background:
        return iter([(stage.lit, 1.0)])
    return of_like_fluence(stage.lit, fluence, classes)


def rows_at_once(stage: Stage, classes: int) -> int:
    """Return for how many patterns the likelihoods fit into memory."""
    return max(8, min(512, _HALVES_FLOATS // (classes * stage.grid.angles)))


class _Pass:
    """One pass over the patterns: the sums and records that it leaves."""

    def __init__(
        self, stage: Stage, now: Classes, fluence: Tensor, beta: float, threshold: float
    ) -> None:
        self._stage, self._now, self._given = stage, now, fluence
        self._beta, self._threshold = beta, threshold
        self.records = Records.empty(len(fluence))
        self.fluence = torch.zeros_like(fluence)
        self.brightness = torch.zeros(3, len(now), dtype=torch.float64)

    def block(self, numbers: Tensor, rows: Tensor, comparison: Comparison, typical: float) -> None:
        """Compare patterns with the classes and add them to the sums."""
        stage, now = self._stage, self._now
        given = self._given[numbers].to(rows.device)
        prior = now.log_prior(given, self._beta) - math.log(stage.grid.angles)
        found = posterior(comparison.tiles(rows, given, prior), self._beta, self._threshold)
        signal = comparison.signal(rows, found)
        fluence = signal / comparison.exposure(found).clamp_min(_LEAST * stage.signal)
        comparison.collect(rows, fluence, found)
        self.fluence[numbers] = fluence.cpu()
        mass = column_mass(found, len(now)).cpu().double()
        self.brightness += brightness(fluence.cpu().double(), mass)
        left_out = stage.survey.left_out(numbers, signal, given, typical)
        self.records.best[numbers] = found.found.best
        self.records.evidence[numbers] = found.found.evidence + left_out
        self.records.loglik[numbers] = found.found.loglik + left_out
        self.records.information[numbers] = found.found.information

    def gather(self) -> None:
        """Add what the other processes found."""
        self._stage.processes.sum(self.fluence, self.brightness)
        self.records.gather(self._stage.processes)


def iterate(
    stage: Stage,
    now: Classes,
    fluence: Float[Tensor, "N"],
    beta: float,
    config: ClassifyConfig,
) -> tuple[Classes, Float[Tensor, "N"], Records]:
    """Return the next classes, fluences (mean 1 over the lit patterns) and what was found.

    Shares stay as they are until β is 1: before, whichever class is the smoothest attracts most.
    """
    one = _Pass(stage, now, fluence, beta, config.threshold)
    sums = Sums(stage, ring_mean(stage, now.rate))
    for members, typical in groups(stage, fluence, config.fluence_classes):
        comparison = compare(stage, now.rate, typical)
        for numbers, rows in stage.blocks(members):
            for part in torch.arange(len(numbers)).split(rows_at_once(stage, len(now))):
                block = rows[part[0] : part[-1] + 1]
                one.block(numbers[part], block, comparison, typical)
        stage.processes.sum(comparison.sums)
        sums.add(comparison.sums, now.rate, typical)
    one.gather()
    mean = float(one.fluence[stage.lit].mean())
    spread = now.brightness
    if config.brightness:
        spread = moments(one.brightness) - torch.tensor([math.log(mean), 0.0])
    mass = one.brightness[0]
    classes = Classes(
        rate=sums.rate(config.prior_photons),
        share=(mass / mass.sum()).float() if beta == 1 else now.share,
        brightness=spread,
    )
    stage.processes.agree(classes.rate, classes.share, classes.brightness)
    return classes, one.fluence / mean, one.records
