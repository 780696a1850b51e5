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
    share_templates,
    templates,
)
from baselines.classify.config import ClassifyConfig
from baselines.classify.stage import Stage
from baselines.emc.candidates import column_mass
from baselines.emc.correlate import Halves, correlate, expand_angles
from baselines.emc.maximize import Spreader, expectation
from baselines.emc.posterior import Posterior, Tile, posterior

_HALVES_FLOATS = 2**24  # log-likelihoods that are held at once
_LEAST = 0.2  # of the mean signal, which every class expects: where a mask hides the rest


class Comparison:
    """Patterns of about one fluence against the classes, at every in-plane angle."""

    def __init__(self, stage: Stage, rate: Float[Tensor, "K N"], fluence: float) -> None:
        self._stage, device = stage, rate.device
        self._waves = stage.grid.waves(True, device), stage.grid.waves(False, device)
        self._columns = stage.grid.fluence_columns.to(device)
        self._templates = templates(stage, rate, fluence)
        lit = stage.detector.has_background
        self._shares = share_templates(stage, rate, fluence) if lit else None
        self._spreader = Spreader(
            grid=stage.grid, waves=self._waves, sums=torch.zeros_like(self._templates)
        )

    def likelihood(self, rows: Tensor, fluence: Float[Tensor, "n"]) -> Halves:
        """Return LL of every class and angle as halves [J/2, n, K]."""
        rows[:, self._columns] = -fluence[:, None]
        return correlate(self._stage.grid, self._waves, rows, self._templates)

    def signal(self, rows: Tensor, found: Posterior) -> Float[Tensor, "n"]:
        """Return Σ P Σ_p k f: photons that count for the signal."""
        if self._shares is None:
            return rows[:, : self._stage.grid.rings].sum(1)
        return expectation(found, [correlate(self._stage.grid, self._waves, rows, self._shares)])

    def exposure(self, found: Posterior) -> Float[Tensor, "n"]:
        """Return Σ P Σ_p gain·W: photons expected at fluence 1."""
        lengths = torch.tensor([rings for _, rings in self._stage.grid.columns])
        real = self._templates[:, self._columns]
        imaginary = -self._templates[:, self._columns + lengths.to(self._columns)]
        product = torch.stack([real, imaginary]).permute(2, 0, 1)[:, :, None].contiguous()
        return expectation(found, [expand_angles(self._waves, product)])

    def collect(self, rows: Tensor, fluence: Float[Tensor, "n"], found: Posterior) -> None:
        """Add patterns to the sums of their classes, at new fluences."""
        rows[:, self._columns] = -fluence[:, None]
        self._spreader.add(rows, found)

    @property
    def sums(self) -> Float[Tensor, "K W"]:
        """What was collected, as packed harmonics."""
        return self._spreader.sums


@dataclass(frozen=True, kw_only=True)
class Records:
    """What an iteration found of each pattern, on the CPU.

    ``best`` [N, 2]: class and angle; ``evidence``: (1/β) log Σ π exp(β LL) without Σ log k!;
    ``likelihood``: LL at the best one; ``information``: nats that the posterior gained.
    """

    best: Int[Tensor, "N 2"]
    evidence: Float[Tensor, "N"]
    likelihood: Float[Tensor, "N"]
    information: Float[Tensor, "N"]

    @classmethod
    def empty(cls, patterns: int) -> "Records":
        """Return records to be filled in block by block."""
        zeros = torch.zeros(patterns, dtype=torch.float64)
        return cls(
            best=torch.zeros(patterns, 2, dtype=torch.int64),
            evidence=zeros,
            likelihood=zeros.clone(),
            information=zeros.clone(),
        )


def groups(
    stage: Stage, fluence: Float[Tensor, "N"], classes: int
) -> Iterator[tuple[Tensor, float]]:
    """Yield (patterns, their mean fluence): all lit ones at once where there is no background."""
    if not stage.detector.has_background:
        yield stage.lit, 1.0
        return
    numbers = stage.lit.nonzero()[:, 0]
    order = numbers[fluence[numbers].argsort()]
    for part in order.tensor_split(min(classes, len(order))):
        members = torch.zeros_like(stage.lit)
        members[part] = True
        yield members, float(fluence[part].mean())


def rows_at_once(stage: Stage, classes: int) -> int:
    """Return for how many patterns the likelihoods fit into memory."""
    return max(8, min(512, _HALVES_FLOATS // (classes * stage.grid.angles)))


def constant(
    stage: Stage, numbers: Tensor, signal: Tensor, fluence: Tensor, typical: float
) -> Float[Tensor, "n"]:
    """Return what LL leaves out but Σ log k!: templates are of the typical fluence."""
    turned = signal.cpu() * (fluence / typical).log().double()
    return stage.survey.constant[numbers] + turned - float(stage.pixels.background.sum())


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
        halves = comparison.likelihood(rows, given)
        prior = now.log_prior(given, self._beta) - math.log(stage.grid.angles)
        tile = Tile(halves=halves, prior=prior, first=0)
        found = posterior([tile], self._beta, self._threshold)
        signal = comparison.signal(rows, found)
        fluence = signal / comparison.exposure(found).clamp_min(_LEAST * stage.signal)
        comparison.collect(rows, fluence, found)
        self.fluence[numbers] = fluence.cpu()
        mass = column_mass(found, len(now)).cpu().double()
        self.brightness += brightness(fluence.cpu().double(), mass)
        left_out = constant(stage, numbers, signal, self._given[numbers], typical)
        self.records.best[numbers] = found.found.best
        self.records.evidence[numbers] = found.found.evidence + left_out
        self.records.likelihood[numbers] = found.found.likelihood + left_out
        self.records.information[numbers] = found.found.information


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
        comparison = Comparison(stage, now.rate, typical)
        for numbers, rows in stage.blocks(members):
            for part in torch.arange(len(numbers)).split(rows_at_once(stage, len(now))):
                block = rows[part[0] : part[-1] + 1]
                one.block(numbers[part], block, comparison, typical)
        sums.add(comparison.sums, now.rate, typical)
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
    return classes, one.fluence / mean, one.records
