"""Random starts, one iteration after another, with a checkpoint behind each."""

import math
import time
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.classify import checkpoint
from baselines.classify.averages import Classes, normalised, reseeded, seeds
from baselines.classify.checkpoint import Estimate, State
from baselines.classify.config import ClassifyConfig
from baselines.classify.iterate import Records, iterate
from baselines.classify.stage import Stage
from baselines.emc.compress import random_start
from baselines.emc.expand import slices
from baselines.emc.output import Log
from baselines.emc.stream import read
from xraisim.console import Advance
from xraisim.core.errors import SamplingError
from xraisim.core.merge import intensity_grid
from xraisim.core.random import generator
from xraisim.core.so3 import to_beam
from xraisim.core.symmetry import asymmetric_directions, point_group
from xraisim.core.types import PatternSource
from xraisim.files.events import METRICS

_EMPTY = 0.1  # of an equal share, below which a class is seeded again
_WORST = 0.02  # of the patterns: those that seeds are taken from
_SETTLING = 0.6  # of the iterations: afterwards no class is seeded again
_STEADY = 2  # iterations at β = 1 before the gain is judged
_OVERSAMPLING = 3.2  # voxels per 1/D of the random ball


class Starts:
    """Makes all random starts; the state's leader is the likeliest of them."""

    def __init__(
        self,
        source: PatternSource,
        stage: Stage,
        config: ClassifyConfig,
        state: State,
        directory: Path,
        progress: Advance | None,
    ) -> None:
        self._source, self._stage, self._config = source, stage, config
        self._state, self._directory = state, directory
        self._log = Log(directory / METRICS)
        if stage.processes.is_leader:
            self._log.begin(keep=state.lines)
        self._advance = progress or (lambda units=1, remark="": None)

    def run(self) -> Estimate:
        """Go on from where the state is; return the likeliest estimate."""
        state = self._state
        while len(state.starts) < self._config.restarts:
            self._make()
            assert state.evidence is not None
            if not state.starts or state.evidence > max(state.starts):
                state.leader = state.current
            state.starts.append(state.evidence)
            state.iteration, state.evidence, state.current, state.worst = 0, None, None, []
        assert state.leader is not None
        return state.leader

    def _make(self) -> None:
        state, config = self._state, self._config
        steady = sum(config.beta_at(i) == 1 for i in range(state.iteration))
        while state.iteration < config.iterations:
            gain = self._step()
            steady += config.beta_at(state.iteration - 1) == 1
            if steady > _STEADY and gain is not None and abs(gain) < config.tolerance:
                break
        self._advance(config.iterations - state.iteration)

    def _step(self) -> float | None:
        """Make one iteration; return the gain of log-likelihood per photon over the one before."""
        began, state, stage = time.monotonic(), self._state, self._stage
        beta = self._config.beta_at(state.iteration)
        before = state.current or self._start()
        classes = self._without_empty(before)
        made, fluence, records = iterate(stage, classes, before.fluence, beta, self._config)
        photons = stage.survey.totals[stage.lit].double().mean()
        evidence = float(records.evidence[stage.lit].mean() / photons)
        evidence = stage.processes.agreed(evidence)
        if not (math.isfinite(evidence) and bool(made.rate.isfinite().all())):
            raise SamplingError(
                f"the class averages diverged in iteration {state.iteration + 1}: the patterns "
                f"have {float(photons):,.3g} photons on average, up to "
                f"{float(stage.survey.totals.max()):,.3g}; check the counts (xrai-sim validate), "
                "or leave out what no particle scatters"
            )
        gain = None if state.evidence is None else evidence - state.evidence
        state.current, state.evidence = Estimate(classes=made, fluence=fluence), evidence
        state.worst = self._worst(records, fluence)
        state.iteration += 1
        state.lines += 1
        seconds = time.monotonic() - began
        state.seconds += seconds
        if stage.processes.is_leader:
            self._report(beta, records, seconds)
            checkpoint.save(state, self._directory)
        self._advance(1, f"start {len(state.starts) + 1}, {evidence:.5f} nats per photon")
        return gain

    def _report(self, beta: float, records: Records, seconds: float) -> None:
        state = self._state
        assert state.current is not None
        share = state.current.classes.share
        self._log.write(
            iteration=state.lines,
            restart=len(state.starts),
            beta=beta,
            log_likelihood_per_photon=state.evidence,
            mutual_information_nats=float(records.information[self._stage.lit].mean()),
            effective_classes=float((-torch.special.xlogy(share, share)).sum().exp()),
            seconds=seconds,
        )

    def _start(self) -> Estimate:
        """Return views of a random ball, whose speckles have the particle's size."""
        stage, count = self._stage, self._config.classes
        draw = generator(self._config.seed, f"classify/start/{len(self._state.starts)}")
        diameter = self._source.info["particle_diameter_angstrom"]
        edge = 1 / stage.d_min_angstrom
        cube = intensity_grid(edge, diameter, _OVERSAMPLING)
        alone = point_group("C1")
        ball = random_start(stage.profile, cube, diameter, alone, draw)
        directions = asymmetric_directions(2 * count, alone)[:count]  # no Friedel mates
        views = to_beam(directions).float()
        rate = slices(ball, stage.profile, stage.grid, views, edge).to(stage.device)
        spread = torch.tensor([0.0, 1.0]).repeat(count, 1)
        share = torch.full((count,), 1 / count)
        classes = Classes(rate=normalised(stage, rate), share=share, brightness=spread)
        return Estimate(classes=classes, fluence=stage.fluence())

    def _without_empty(self, now: Estimate) -> Classes:
        """Seed classes that hardly any pattern belongs to from those explained worst."""
        state, config = self._state, self._config
        empty = (now.classes.share < _EMPTY / config.classes).nonzero()[:, 0]
        worst = torch.tensor(state.worst, dtype=torch.int64)
        if state.iteration > _SETTLING * config.iterations or not len(empty) or not len(worst):
            return now.classes
        stream = f"classify/seed/{len(state.starts)}/{state.iteration}"
        order = torch.randperm(len(worst), generator=generator(config.seed, stream))
        empty = empty[: len(worst)]
        chosen = worst[order[: len(empty)]]
        rows = torch.cat([self._stage.blocks.prepare(read(self._source, n[None])) for n in chosen])
        rate = seeds(self._stage, rows, now.fluence[chosen], config.prior_photons)
        return reseeded(now.classes, empty, rate, 1 / config.classes)

    def _worst(self, records: Records, fluence: Float[Tensor, "N"]) -> list[int]:
        """Return the lit patterns whose photons fall where their class is dark, for its fluence."""
        stage = self._stage
        numbers = stage.lit.nonzero()[:, 0]
        shape = records.loglik / stage.survey.totals - fluence.clamp_min(1e-4).log()
        count = max(self._config.classes, math.ceil(_WORST * len(numbers)))
        order: Int[Tensor, "n"] = shape[numbers].argsort()
        worst = numbers[order[:count]]
        stage.processes.agree(worst)
        return worst.tolist()
