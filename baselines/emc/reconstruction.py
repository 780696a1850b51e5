"""Levels and random starts, one iteration after another, with a checkpoint behind each."""

import math
import time
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from baselines.emc import checkpoint
from baselines.emc.candidates import Candidates
from baselines.emc.checkpoint import State
from baselines.emc.compress import ball_radii, ball_start, random_start, relative_change
from baselines.emc.config import Level
from baselines.emc.door import require_patterns
from baselines.emc.halves import half_members, half_resolution
from baselines.emc.inputs import Inputs
from baselines.emc.iterate import Estimate, Records, iterate
from baselines.emc.models import Columns, Model
from baselines.emc.orientations import OrientationGrid
from baselines.emc.output import Log
from baselines.emc.stage import Stage, make_stage
from xraisim.console import Advance
from xraisim.core.errors import SamplingError
from xraisim.core.fsc import Resolution
from xraisim.core.random import generator
from xraisim.files.events import METRICS

_STEADY = 2  # iterations at the level's last information before its gain is judged


class Reconstruction:
    """Runs the stages: level 1 once per random start, then every further level."""

    def __init__(
        self, inputs: Inputs, state: State, directory: Path, progress: Advance | None = None
    ) -> None:
        self._inputs, self._state, self._directory = inputs, state, directory
        self._config, self._processes = inputs.config, inputs.processes
        self._log = Log(directory / METRICS)
        self._advance = progress or (lambda units=1, remark="": None)

    def run(self) -> Stage:
        """Make all stages from where the state is; return the last.

        Raises :class:`SamplingError` for patterns too few, and where the volume diverges.
        """
        require_patterns(self._inputs.source, self._config, self._inputs.chosen)
        if self._processes.is_leader:
            self._log.begin(keep=self._state.lines)
        levels = [0] * self._config.restarts + list(range(1, len(self._config.levels)))
        stage = make_stage(self._inputs, levels[self._state.stage])
        while True:
            if stage.number != levels[self._state.stage]:
                stage = make_stage(self._inputs, levels[self._state.stage])
            self._make(stage)
            if self._state.stage + 1 == len(levels):
                if stage.number == 0:
                    self._judge_start(stage)
                return stage
            self._finish(stage)

    def _make(self, stage: Stage) -> None:
        """Iterate at one level until it has converged or its iterations are used up."""
        state, level = self._state, stage.level
        while state.iteration < level.iterations and not self._has_converged(level):
            self._step(stage)
        self._advance(level.iterations - state.iteration)

    def _has_converged(self, level: Level) -> bool:
        """Whether the log-likelihood per photon gains too little; true after a resumption too.

        That of the likeliest orientations: the evidence also falls and rises with β.
        """
        state = self._state
        steady = state.iteration >= level.ramp + _STEADY
        return steady and state.gain is not None and state.gain < self._config.tolerance

    def _step(self, stage: Stage) -> None:
        """Make one iteration."""
        began, state = time.monotonic(), self._state
        before = self._current(stage)
        candidates = self._candidates(stage)
        members = half_members(stage.chosen, len(before))
        made = [
            iterate(now, stage, some, candidates, self._information(stage))
            for now, some in zip(before, members, strict=True)
        ]
        poses = _joined([poses for _, poses, _ in made], members)
        evidence = self._processes.agreed(float(poses.evidence[stage.chosen].mean()))
        reached = self._processes.agreed(float(poses.loglik[stage.chosen].mean()))
        reached /= stage.photons
        self._require_finite(made, evidence + reached, stage)
        state.gain = None if state.reached is None else reached - state.reached
        state.reached = reached
        state.estimates = [estimate for estimate, _, _ in made]
        state.poses, state.poses_level, state.beta = poses, stage.number, made[0][2]
        state.evidence = evidence / stage.photons
        state.iteration += 1
        state.lines += 1
        state.seconds += time.monotonic() - began
        if self._processes.is_leader:
            self._report(stage, poses, before, evidence, time.monotonic() - began)
            checkpoint.save(state, self._directory)
        self._advance(1, f"level {stage.number + 1}, {state.evidence:.5f} nats per photon")

    def _require_finite(
        self, made: list[tuple[Estimate, Records, float]], loglik: float, stage: Stage
    ) -> None:
        """Raise where the volume or the likelihood is finite no more; the checkpoint is not."""
        models = [model for estimate, _, _ in made for model in estimate.models]
        finite = all(bool(model.volume.values.isfinite().all()) for model in models)
        if math.isfinite(loglik) and finite:
            return
        raise SamplingError(
            f"EMC diverged at {stage.d_min_angstrom:.1f} Å (level {stage.number + 1}, iteration "
            f"{self._state.iteration + 1}): the volume fits single patterns without bound, as "
            f"where {int(stage.chosen.sum()):,} patterns look at too little of it; add patterns, "
            "stop at a coarser d_min_angstrom, or raise prior"
        )

    def _information(self, stage: Stage) -> float:
        if stage.number == 0 and self._state.iteration == 0:
            return self._config.start_information
        return stage.level.information_at(self._state.iteration)

    def _report(
        self, stage: Stage, poses: Records, before: list[Estimate], evidence: float, seconds: float
    ) -> None:
        state, chosen = self._state, stage.chosen
        new, old = (e[0].models[0].volume.values for e in (state.estimates, before))
        resolution = half_resolution(state.estimates, stage.s_max_per_angstrom)
        self._log.write(
            iteration=state.lines,
            level=stage.number + 1,
            restart=len(state.starts),
            beta=state.beta,
            log_likelihood=evidence,
            log_likelihood_per_photon=state.evidence,
            volume_change=relative_change(new, old),
            mutual_information_nats=float(poses.information[chosen].mean()),
            occupancy=float(poses.occupancy[chosen].mean()),
            d_min_angstrom=stage.d_min_angstrom,
            judged_to_angstrom=1 / before[0].known,
            rotations=len(stage.orientations),
            **_reached(resolution),
            seconds=seconds,
        )

    def _candidates(self, stage: Stage) -> Candidates | None:
        """Return where to look for each pattern, or None for everywhere."""
        state = self._state
        if stage.level.search == "global" or state.poses is None:
            return None
        rotations = self._config.levels[state.poses_level].rotations
        older = OrientationGrid.of(rotations, self._config.group)
        isotropic = [model.isotropic for model in state.estimates[0].models]
        columns = Columns.of(older, isotropic)
        return Candidates(state.poses.hypotheses, columns, stage.columns, self._config.group)

    def _current(self, stage: Stage) -> list[Estimate]:
        """Return the estimates to start an iteration from."""
        state = self._state
        if state.iteration > 0:
            return state.estimates
        fluence = stage.fluence()
        if not state.estimates:
            return [self._start(stage)]
        estimates = [replace(estimate, fluence=fluence) for estimate in state.estimates]
        if self._config.halves and len(estimates) == 1:
            return estimates * 2
        return estimates

    def _start(self, stage: Stage) -> Estimate:
        config, profile, grid = self._config, stage.profile, stage.grid
        share, diameter = 1 / len(config.isotropic), stage.diameter_angstrom
        models = []
        for number in range(config.classes):
            draw = generator(config.seed, f"emc/start/{len(self._state.starts)}/{number}")
            volume = random_start(profile, grid, diameter, config.group, draw)
            models.append(Model(volume=volume.to(self._inputs.device), share=share))
        for radius_angstrom in ball_radii(config.junk, diameter):
            volume = ball_start(profile, grid, radius_angstrom)
            models.append(Model(volume=volume.to(self._inputs.device), share=share, isotropic=True))
        return Estimate(models=models, fluence=stage.fluence(), known=stage.s_max_per_angstrom)

    def _finish(self, stage: Stage) -> None:
        """Move to the next stage, from the likeliest start once all have been made."""
        state = self._state
        if stage.number == 0:
            self._judge_start(stage)
            made = len(state.starts) == self._config.restarts
            state.estimates = state.estimates if made else []
            state.poses = state.poses if made else None
        state.stage += 1
        state.iteration, state.evidence, state.reached, state.gain = 0, None, None, None

    def _judge_start(self, stage: Stage) -> None:
        """Note how likely this start became, and go back to the likeliest so far."""
        state = self._state
        assert state.reached is not None
        if not state.starts or state.reached > max(state.starts):
            state.leader, state.leader_poses = state.estimates, state.poses
        state.starts.append(state.reached)
        assert state.leader_poses is not None
        state.estimates, state.poses = state.leader, state.leader_poses
        state.evidence = float(state.poses.evidence[stage.chosen].mean()) / stage.photons


def _joined(poses: list[Records], members: list[Tensor]) -> Records:
    """Return the records of disjoint sets of patterns as one."""
    if len(poses) == 1:
        return poses[0]
    joined = Records.empty(len(poses[0].best))
    for each, some in zip(poses, members, strict=True):
        for name in joined.__dataclass_fields__:
            getattr(joined, name)[some] = getattr(each, name)[some]
    return joined


def _reached(resolution: Resolution | None) -> dict[str, float | bool | None]:
    """Return a resolution as the log has it: nothing without half-sets."""
    if resolution is None:
        return {}
    angstrom = resolution.angstrom
    return {f"{resolution.rule}_angstrom": angstrom, "reached_edge": resolution.reached_edge}
