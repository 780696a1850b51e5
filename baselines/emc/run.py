"""The march: levels and restarts, one iteration after another, with a checkpoint behind each."""

import hashlib
import os
import time
from pathlib import Path

import torch

from baselines.emc import checkpoint
from baselines.emc.checkpoint import State
from baselines.emc.compress import random_start, relative_change
from baselines.emc.config import EmcConfig
from baselines.emc.iterate import Estimate, iterate
from baselines.emc.output import Log, Summary, write_results
from baselines.emc.stage import Stage, make_stage
from xraisim.console import Advance
from xraisim.core import config as toml
from xraisim.core.device import choose_device
from xraisim.core.random import generator
from xraisim.files.patterns import PatternReader

_STEADY = 2  # iterations at the level's last β before its gain is judged


def reconstruct(
    patterns: Path,
    directory: Path,
    config: EmcConfig,
    *,
    resume: bool = False,
    progress: Advance | None = None,
) -> Summary:
    """Reconstruct an intensity volume (electrons²) and orientations from a pattern file.

    Writes ``config.toml``, ``metrics.jsonl``, ``intensity.h5`` and ``.mrc``, ``poses.h5`` and
    ``summary.json`` into ``directory``. ``resume`` goes on from the checkpoint that an interrupted
    run left there. Raises the :class:`UserError` family for input that cannot be used.
    """
    device = choose_device(config.device)
    with PatternReader(patterns) as reader:
        key = _key(patterns, reader, config)
        directory.mkdir(parents=True, exist_ok=True)
        state = checkpoint.load(directory, key, device) if resume else State(key=key)
        march = _March(reader, directory, config, device, state, progress)
        (directory / "config.toml").write_text(toml.dumps(config))
        stage = march.run()
        summary = write_results(directory, reader, stage, state, device)
    (directory / checkpoint.NAME).unlink(missing_ok=True)
    return summary


def _key(patterns: Path, reader: PatternReader, config: EmcConfig) -> str:
    """Return what identifies a run: settings, and the patterns' number and size on disk."""
    known = (toml.dumps(config), reader.n_patterns, os.path.getsize(patterns))
    return hashlib.sha256(repr(known).encode()).hexdigest()


class _March:
    """Runs the stages: level 1 once per random start, then every further level."""

    def __init__(
        self,
        reader: PatternReader,
        directory: Path,
        config: EmcConfig,
        device: torch.device,
        state: State,
        progress: Advance | None,
    ) -> None:
        self._reader, self._directory, self._config = reader, directory, config
        self._device, self._state = device, state
        self._log = Log(directory / "metrics.jsonl", keep=state.lines)
        self._advance = progress or (lambda units=1, remark="": None)

    def run(self) -> Stage:
        """Make all stages from where the state is; return the last."""
        levels = [0] * self._config.restarts + list(range(1, len(self._config.levels)))
        stage = make_stage(self._reader, self._config, levels[self._state.stage], self._device)
        while True:
            if stage.number != levels[self._state.stage]:
                stage = make_stage(
                    self._reader, self._config, levels[self._state.stage], self._device
                )
            self._make(stage)
            if self._state.stage + 1 == len(levels):
                return stage
            self._finish(stage)

    def _make(self, stage: Stage) -> None:
        """Iterate at one level until it has converged or its iterations are used up."""
        state, level = self._state, stage.level
        steady = sum(level.beta_at(i) == level.beta_end for i in range(state.iteration))
        while state.iteration < level.iterations:
            gain = self._step(stage)
            steady += level.beta_at(state.iteration - 1) == level.beta_end
            if steady > _STEADY and gain is not None and gain < self._config.tolerance:
                break
        self._advance(level.iterations - state.iteration)

    def _step(self, stage: Stage) -> float | None:
        """Make one iteration; return the gain of log-likelihood per photon over the one before."""
        began, state = time.monotonic(), self._state
        beta = stage.level.beta_at(state.iteration)
        now = self._current(stage)
        after, poses = iterate(
            now, stage.blocks, stage.pixels, stage.matrices, stage.grid, beta, self._config
        )
        evidence = float(poses.evidence.mean())
        gain = None if state.evidence is None else evidence / stage.photons - state.evidence
        state.estimate, state.poses = after, poses
        state.evidence = evidence / stage.photons
        state.iteration += 1
        state.lines += 1
        state.seconds += time.monotonic() - began
        self._log.write(
            iteration=state.lines,
            level=stage.number + 1,
            restart=len(state.starts),
            beta=beta,
            log_likelihood=evidence,
            log_likelihood_per_photon=state.evidence,
            volume_change=relative_change(after.volume.values, now.volume.values),
            mutual_information_nats=float(poses.information.mean()),
            d_min_angstrom=stage.d_min_angstrom,
            seconds=time.monotonic() - began,
        )
        checkpoint.save(state, self._directory)
        self._advance(1, f"level {stage.number + 1}, {state.evidence:.5f} nats per photon")
        return gain

    def _current(self, stage: Stage) -> Estimate:
        """Return the estimate to start an iteration from."""
        state = self._state
        if state.iteration > 0 and state.estimate is not None:
            return state.estimate
        if state.estimate is None:
            draw = generator(self._config.seed, f"emc/start/{len(state.starts)}")
            volume = random_start(
                stage.mean_counts, stage.pixels, stage.grid, stage.diameter_angstrom, draw
            )
            covered = len(stage.pixels)
        else:
            volume, covered = state.estimate.volume, state.estimate.covered
        return Estimate(volume=volume, fluence=stage.fluence(), covered=covered)

    def _finish(self, stage: Stage) -> None:
        """Move to the next stage, from the likeliest start once all have been made."""
        state = self._state
        if stage.number == 0:
            assert state.evidence is not None
            if not state.starts or state.evidence > max(state.starts):
                state.leader = state.estimate
            state.starts.append(state.evidence)
            made = len(state.starts) == self._config.restarts
            state.estimate = state.leader if made else None
        state.stage += 1
        state.iteration, state.evidence = 0, None
