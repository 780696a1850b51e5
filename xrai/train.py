"""A reconstruction from a pattern stream to an intensity volume and every orientation.

A robust low-resolution start, then rounds: patterns get poses and are merged, two half-sets are
compared, the limit of resolution moves outwards as far as they agree, and the encoder learns from
what was found. Each step's random numbers depend on the seed and its name alone, and what comes
next on the state alone, so a resumed run takes the same path.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from xrai import export
from xrai.config import TrainConfig
from xrai.poses.finder import PoseFinder
from xrai.rounds.amortised_start import amortised_start
from xrai.rounds.background import background_warning
from xrai.rounds.encoder_check import check_encoder
from xrai.rounds.encoder_training import train_encoder
from xrai.rounds.end_to_end import EndToEnd, likeliest_start
from xrai.rounds.one_round import begin, run_round
from xrai.rounds.reconstruction import Reconstruction
from xrai.rounds.schedule import more_may_come, next_round, reads_once
from xrai.rounds.start import robust_start
from xrai.rounds.warnings import warnings_of
from xrai.sources.live import LiveSource
from xrai.sources.reopen import name_of, reopen
from xrai.sources.stream import PatternStream
from xrai.state import checkpoint
from xrai.state.autosave import Autosave
from xrai.state.monitor import Monitor
from xrai.state.state import State
from xraisim import __version__
from xraisim.core import config as configuration
from xraisim.core import machine
from xraisim.core.device import choose_device
from xraisim.core.errors import DivergedError, SamplingError, UserError
from xraisim.core.fingerprint import FIRST
from xraisim.core.processes import ALONE, Processes
from xraisim.core.types import PatternSource
from xraisim.files.atomic import write_text
from xraisim.files.events import METRICS
from xraisim.files.lock import new_directory, only_writer
from xraisim.files.result import Result

CONFIG = "config.toml"


def reconstruct(
    patterns: Path | str | PatternSource | LiveSource,
    run_directory: Path | str,
    config: TrainConfig,
    *,
    quiet: bool = False,
    processes: Processes = ALONE,
) -> Result:
    """Reconstruct ``patterns`` into a new run directory; return what it says of itself there.

    ``patterns`` is a file, or gives patterns without one (``xraisim.stream``); such a run cannot be
    resumed from its directory alone. ``processes`` share the patterns, and the first of them
    writes.

    Raises :class:`UserError` if the directory already holds a run, :class:`DeviceError` for a
    device that is not there, :class:`FormatError` for an unusable pattern file,
    :class:`SamplingError` for patterns that no start can be made of, which leave no directory,
    :class:`DivergedError` if what is found is not finite any more; the last good checkpoint stays.
    """
    device = choose_device(config.device)
    directory = Path(run_directory)
    if processes.agreed(float((directory / checkpoint.NAME).exists())):
        raise UserError(
            f"{directory} already holds a run; continue it with `xrai resume {directory}`, or "
            "choose another --out"
        )
    leads = processes.is_leader
    with _stream(patterns, config) as stream, new_directory(directory, wanted=leads):
        looked_at = min(len(stream), FIRST)
        state = State(
            patterns=name_of(patterns),
            extent=_extent(stream),
            fingerprint=(looked_at, stream.fingerprint(looked_at)),
        )
        if leads:
            write_text(directory / CONFIG, configuration.dumps(config))
            (directory / METRICS).unlink(missing_ok=True)
            checkpoint.save(state, directory)
        try:
            return _run(PoseFinder(stream, config, device, processes), state, directory, quiet)
        except SamplingError:
            if leads and state.volume is None:
                for name in (CONFIG, METRICS, checkpoint.NAME):
                    (directory / name).unlink(missing_ok=True)
            raise


def resume(
    run_directory: Path | str,
    *,
    device: str | None = None,
    quiet: bool = False,
    processes: Processes = ALONE,
    token: bytes | None = None,
) -> Result:
    """Continue an interrupted run from its last checkpoint.

    Patterns that were pushed are awaited again, from the first one that the run has not kept;
    ``token``: what seals them.
    """
    directory = Path(run_directory)
    with only_writer(directory, wanted=processes.is_leader):
        state = checkpoint.load(directory)
        config = configuration.load(TrainConfig, directory / CONFIG)
        chosen = choose_device(device or config.device)
        first = max(state.position, state.seen)
        patterns = reopen(state.patterns, config.source, first=first, token=token)
        with _stream(patterns, config) as stream:
            if stream.ended and len(stream) < state.seen:
                raise UserError(
                    f"{state.patterns} holds {len(stream):,} patterns, the run has seen "
                    f"{state.seen:,}; train again"
                )
            _require_same(stream, state, directory)
            return _run(PoseFinder(stream, config, chosen, processes), state, directory, quiet)


def _require_same(stream: PatternStream, state: State, directory: Path) -> None:
    """Raise :class:`UserError` unless the patterns are those that the run began with."""
    if state.fingerprint is None:  # begun before it was kept
        return
    count, fingerprint = state.fingerprint
    if len(stream) < count or stream.fingerprint(count) != fingerprint:
        raise UserError(
            f"{state.patterns} holds other patterns than those that {directory} began with (or "
            "another mask, gain or background); put those back, or train again with another --out"
        )


def _stream(
    patterns: Path | str | PatternSource | LiveSource, config: TrainConfig
) -> PatternStream:
    return PatternStream(
        patterns,
        config.block,
        config.memory_gib,
        config.source.read_ahead_blocks,
        config.resolution_angstrom,
    )


def _extent(stream: PatternStream) -> dict[str, float]:
    radius = stream.pixels.radius
    return {
        "particle_diameter_angstrom": stream.diameter_angstrom,
        "s_min_per_angstrom": float(radius[0]),
        "s_max_per_angstrom": float(radius[-1]),
    }


def _run(finder: PoseFinder, state: State, directory: Path, quiet: bool) -> Result:
    config, leads = finder.config, finder.processes.is_leader
    monitor = Monitor(directory / METRICS if leads else None, quiet or not leads)
    run = Reconstruction(finder, state, monitor)
    state.to(finder.device)
    autosave = Autosave(directory, config.checkpoint_s, finder.processes)
    advance = _as_published if config.mode == "paper" else _in_rounds
    with autosave.keeping():
        try:
            advance(run, autosave)
        except DivergedError as error:
            raise DivergedError(_diverged(error, state, directory)) from error
        dark = int((~state.lit).sum())
        if dark:
            monitor.log("dark", without_photons=dark, patterns=state.seen)
        irregular = [finder.stream.warning] if finder.stream.warning else []
        for reason in [*irregular, *warnings_of(finder, state)]:
            _warn(run, reason)
        result = _result(finder, state)
        if leads:
            export.write(state, directory, result)
        return result


def _diverged(error: DivergedError, state: State, directory: Path) -> str:
    where = f"after round {state.rounds}" if state.rounds else "in the start"
    return (
        f"{error}: stopped {where}. The last good checkpoint is kept; look at the patterns with "
        f"`xrai-sim validate`, lower decoder.learning_rate or encoder.learning_rate in "
        f"{directory / CONFIG}, and go on with `xrai resume {directory}`"
    )


def _in_rounds(run: Reconstruction, autosave: Autosave) -> None:
    """Modes ``hybrid`` and ``amortised``: the start, then one round after another.

    The encoder learns while new patterns come, for which it proposes, and where they can be read
    again once more when the volume is done.
    """
    finder, state = run.finder, run.state
    if state.volume is None:
        with _timed(state, "start"):
            _start(run)
        autosave.save(state)
    while (round_ := state.round or next_round(finder, state)) is not None:
        active = run.at(round_)
        if state.round is None:
            begin(active)
        with _timed(state, round_.kind), autosave.round():
            run_round(active, autosave.after_block)
        if more_may_come(finder, state, round_):
            with _timed(state, "encoder"):
                train_encoder(run)
        autosave.save(state)
    if not (reads_once(finder) or state.figures):
        with _timed(state, "encoder"):
            train_encoder(run, last=True)
            check_encoder(run)
        autosave.save(state)


def _as_published(run: Reconstruction, autosave: Autosave) -> None:
    """Mode ``paper``: both networks end to end, the encoder's poses as they are."""
    finder, state, config = run.finder, run.state, run.finder.config
    if state.volume is not None and not state.networks:  # finished before passes were kept
        return
    stream, settings, device = finder.stream, config.end_to_end, finder.device
    decoder, seed = config.decoder, config.seed
    if state.networks:
        learner = EndToEnd(stream, settings, device, decoder=decoder, seed=seed)
        learner.load_state_dict(state.networks[0])
    else:
        learner = likeliest_start(stream, settings, device, run.monitor, decoder=decoder, seed=seed)
    while learner.passes < config.end_to_end.epochs:
        with _timed(state, "end_to_end"):
            poses = learner.one_pass(run.monitor)
        state.volume, state.networks = learner.decoder.volume(), [learner.state_dict()]
        _take_poses(state, poses)
        autosave.save(state)


def _take_poses(state: State, poses: Tensor) -> None:
    """Make the encoder's poses [N, 4] those of a state; NaN where there are no photons."""
    state.seen = len(poses)
    state.grow(len(poses))
    dark = ~poses.isfinite().all(1)
    for name in ("orientations", "encoder_orientations"):
        held = state.columns[name]
        held[: len(poses)] = torch.where(dark[:, None], held[: len(poses)], poses)
    for name in ("fluence", "weight"):
        state.columns[name][: len(poses)][dark] = 0


@contextmanager
def _timed(state: State, kind: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    state.seconds[kind] = state.seconds.get(kind, 0.0) + time.monotonic() - began


def _start(run: Reconstruction) -> None:
    finder, state, monitor = run.finder, run.state, run.monitor
    if (reason := background_warning(finder.stream)) is not None:
        _warn(run, reason)
    if finder.config.mode == "amortised" and finder.group is None:
        start = amortised_start(finder, monitor)
        volume, settled, state.trainer = start.volume, start.settled, start.trainer
    else:
        volume, settled = robust_start(finder, monitor)
    state.volume, state.volumes = volume, [volume] * finder.sets
    if not settled:
        _warn(
            run,
            "no start explains the patterns it was made of; the poses may be wrong throughout: "
            "look at the half-sets' agreement, and try more restarts or another start.reach",
        )


def _warn(run: Reconstruction, reason: str) -> None:
    """Record why the result may not be trusted, in the metrics and in the result."""
    if reason not in run.state.warnings:
        run.state.warnings.append(reason)
        run.monitor.log("warning", reason=reason)


def _result(finder: PoseFinder, state: State) -> Result:
    seconds = sum(state.seconds.values())
    return Result(
        method="xrai",
        method_version=__version__,
        patterns=state.seen,
        seconds=seconds,
        patterns_per_s=state.seen / seconds,
        d_min_angstrom=1 / finder.s_edge,
        resolution=state.resolution,
        warnings=tuple(state.warnings),
        seed=finder.config.seed,
        peak_memory_gib=machine.peak_gib(),
        device=str(finder.device),
        hardware=machine.hardware(finder.device),
        figures={
            "rounds": state.rounds,
            "pose_limit_angstrom": 1 / (state.limit or finder.s_edge),
            "outliers": state.outliers,
            "without_photons": int((~state.lit).sum()),
            **{f"seconds_{kind}": value for kind, value in state.seconds.items()},
            **state.figures,
        },
    )
