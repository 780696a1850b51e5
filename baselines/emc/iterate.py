"""One iteration of EMC: expand, maximize and compress, streaming over blocks of patterns."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from baselines.emc.anneal import beta_for
from baselines.emc.candidates import Candidates, column_mass, likeliest
from baselines.emc.compress import volume_of
from baselines.emc.models import Model
from baselines.emc.posterior import Posterior, posterior
from baselines.emc.stage import Stage
from baselines.emc.stream import of_like_fluence, read
from xraisim.core.merge import Accumulator
from xraisim.core.processes import Processes

_HALVES_FLOATS = 2**25  # log-likelihoods that are held at once
_FEWEST_ROWS, _MOST_ROWS = 16, 512
_SAMPLE = 64  # patterns that β is found from
_TINY = 1e-12
HYPOTHESES = 8


@dataclass(kw_only=True)
class Records:
    """What an iteration finds of each pattern, block by block, on the CPU (``posterior.Found``).

    ``hypotheses`` [N, 8]: the columns that hold most of the posterior, −1 for none. ``loglik``,
    ``evidence`` include everything but Σ log k!.
    """

    best: Int[Tensor, "N 2"]
    hypotheses: Int[Tensor, "N H"]
    occupancy: Float[Tensor, "N"]
    loglik: Float[Tensor, "N"]
    evidence: Float[Tensor, "N"]
    information: Float[Tensor, "N"]

    @classmethod
    def empty(cls, patterns: int) -> "Records":
        """Return records to be filled in block by block."""
        figures = ("occupancy", "loglik", "evidence", "information")
        return cls(
            best=torch.zeros(patterns, 2, dtype=torch.int64),
            hypotheses=torch.full((patterns, HYPOTHESES), -1, dtype=torch.int32),
            **{name: torch.zeros(patterns, dtype=torch.float64) for name in figures},
        )

    def gather(self, processes: Processes) -> None:
        """Fill in the patterns of the other processes; each has filled in its own."""
        self.hypotheses.add_(1)  # none is 0 in a sum
        processes.sum(*(getattr(self, name) for name in self.__dataclass_fields__))
        self.hypotheses.sub_(1)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The current volumes, and each pattern's relative fluence (mean 1).

    ``known``: |s| to which the volumes are known (Å⁻¹).
    """

    models: list[Model]
    fluence: Float[Tensor, "N"]
    known: float


class Pass:
    """One pass over the patterns ``members``: the sums and records that it leaves."""

    def __init__(self, stage: Stage, now: Estimate) -> None:
        self._stage, self._now, self._config = stage, now, stage.config
        self._begun: float | None = None
        self.beta = 1.0
        device = stage.pixels.s.device
        self.poses = Records.empty(len(now.fluence))
        self.fluence = torch.zeros_like(now.fluence)
        self.mass = torch.zeros(len(now.models), dtype=torch.float64)
        self.merged = [Accumulator.empty(*stage.grid, device=device) for _ in now.models]

    def anneal(
        self, members: Bool[Tensor, "N"], candidates: Candidates | None, information: float
    ) -> None:
        """Set β such that the first patterns have this share of information."""
        leads = self._stage.processes.is_leader
        beta = self._beta(members, candidates, information) if leads else 1.0
        self.beta = self._stage.processes.agreed(beta)

    def _beta(self, members: Tensor, candidates: Candidates | None, information: float) -> float:
        numbers = members.nonzero()[:_SAMPLE, 0]
        rows = self._stage.engine.prepare(read(self._stage.blocks.source, numbers))
        self._begin(1.0)
        near = None if candidates is None else candidates(numbers).to(rows.device)
        fluence = self._now.fluence[numbers].to(rows.device)
        tiles = self._stage.engine.tiles(rows, fluence, near)
        most = math.log(len(self._stage.columns) * self._stage.columns.angles)
        return beta_for(tiles, information * most)

    def _begin(self, fluence: float) -> None:
        if self._begun != fluence:
            self._stage.engine.begin(self._now.models, self._now.known, fluence)
            self._begun = fluence

    def run(self, members: Bool[Tensor, "N"], candidates: Candidates | None) -> None:
        """Go through the patterns, class of fluence by class of fluence, and add up."""
        engine = self._stage.engine
        for group, fluence in self._groups(members):
            self._begin(fluence)
            for numbers, rows in self._stage.blocks(group):
                step = self._rows_at_once(candidates)
                for part in torch.arange(len(numbers)).split(step):
                    block = rows[part[0] : part[-1] + 1]
                    near = None
                    if candidates is not None:
                        near = candidates(numbers[part]).to(rows.device)
                    self._block(numbers[part], block, near, fluence)
            engine.finish(self.merged)
            self._begun = None
        self._add_up()

    def _add_up(self) -> None:
        processes = self._stage.processes
        for merged in self.merged:
            processes.sum(merged.photons, merged.exposure)
        processes.sum(self.mass, self.fluence)
        self.poses.gather(processes)

    def _groups(self, members: Tensor) -> Iterator[tuple[Tensor, float]]:
        """Return (patterns, their mean fluence): all at once where there is no background."""
        if self._stage.survey.background == 0:
            return iter([(members, 1.0)])
        return of_like_fluence(members, self._now.fluence, self._config.fluence_classes)

    def _rows_at_once(self, candidates: Candidates | None) -> int:
        if candidates is not None:
            return _MOST_ROWS // 4
        columns = self._stage.columns
        most = _HALVES_FLOATS // (len(columns) * columns.angles)
        return min(max(most, _FEWEST_ROWS), _MOST_ROWS)

    def _block(self, numbers: Tensor, rows: Tensor, near: Tensor | None, typical: float) -> None:
        engine, device = self._stage.engine, rows.device
        given = self._now.fluence[numbers]
        tiles = engine.tiles(rows, given.to(device), near)
        found = posterior(tiles, self.beta, self._config.threshold, near)
        signal = engine.signal(rows, found)
        fluence = signal / engine.exposure(found).clamp_min(_TINY)
        engine.collect(rows, fluence, found)
        self.fluence[numbers] = fluence.cpu()
        constant = self._stage.survey.left_out(numbers, signal, given, typical)
        self._record(numbers, found, constant)

    def _record(self, numbers: Tensor, found: Posterior, constant: Tensor) -> None:
        columns, poses = self._stage.columns, self.poses
        mass = column_mass(found, len(columns)).cpu()
        poses.best[numbers] = found.found.best
        poses.hypotheses[numbers] = likeliest(mass, HYPOTHESES)
        poses.occupancy[numbers] = found.found.occupancy
        poses.information[numbers] = found.found.information
        poses.loglik[numbers] = found.found.loglik + constant
        poses.evidence[numbers] = found.found.evidence + constant
        self.mass.index_add_(0, columns.number, mass.sum(0).double())


def iterate(
    now: Estimate,
    stage: Stage,
    members: Bool[Tensor, "N"],
    candidates: Candidates | None,
    information: float,
) -> tuple[Estimate, Records, float]:
    """Return the next estimate from the patterns ``members``, what was found of them, and β.

    Orientations are judged by the rings that the current volume covers, so a step outwards in
    resolution takes its outer shells from the orientations that the inner ones gave.
    """
    config, done = stage.config, Pass(stage, now)
    done.anneal(members, candidates, information)
    done.run(members, candidates)
    mean = float(done.fluence[members].mean())
    shares = (done.mass / done.mass.sum()).tolist()
    models = []
    for model, merged, share in zip(now.models, done.merged, shares, strict=True):
        volume = volume_of(merged, stage.profile, config.prior, config.group)
        # Scaling φ to mean 1 and V against it leaves every expected count as it was.
        scaled = replace(volume, values=volume.values * mean)
        models.append(replace(model, share=share).with_volume(scaled, merged.exposure.clamp_min(0)))
    stage.processes.agree(*(model.volume.values for model in models))
    known = stage.s_max_per_angstrom
    estimate = Estimate(models=models, fluence=done.fluence / mean, known=known)
    return estimate, done.poses, done.beta
