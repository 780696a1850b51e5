"""A reconstruction from a pattern file to an intensity volume and every orientation.

The stages, in order: a robust low-resolution start (implicit decoder, annealed search), a first
pose for every pattern, the march of refinement and merging outwards, the encoder taught by what was
found and then challenging it, and the final epochs. A checkpoint follows every stage, and each
stage's random numbers depend on the seed and its name alone, so a resumed run takes the same path.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from xrai import checkpoint, export, teach
from xrai.checkpoint import State
from xrai.config import TrainConfig
from xrai.march import March, limits
from xrai.monitor import Monitor
from xrai.start import robust_start
from xrai.stream import PatternStream
from xraisim.core import config as configuration
from xraisim.core.device import choose_device
from xraisim.core.errors import UserError
from xraisim.core.types import PatternSource

CONFIG = "config.toml"


@dataclass(frozen=True)
class Stage:
    """A named step from state to state."""

    name: str
    run: Callable[[March, State, Monitor], None]


def train(
    patterns: Path | str | PatternSource,
    run_directory: Path | str,
    config: TrainConfig,
    *,
    quiet: bool = False,
) -> dict[str, float | int | str]:
    """Reconstruct ``patterns`` into a new run directory; return the summary written there.

    ``patterns`` is a file, or gives patterns without one (``xraisim.stream``); such a run cannot be
    resumed from its directory alone.

    Raises :class:`UserError` if the directory already holds a run, :class:`DeviceError` for a
    device that is not there, :class:`FormatError` for an unusable pattern file.
    """
    device = choose_device(config.device)
    directory = Path(run_directory)
    if (directory / checkpoint.NAME).exists():
        raise UserError(
            f"{directory} already holds a run; continue it with `xrai resume {directory}`, or "
            "choose another --out"
        )
    with PatternStream(patterns, config.block, config.memory_gib) as stream:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CONFIG).write_text(configuration.dumps(config), encoding="utf-8")
        (directory / "metrics.jsonl").unlink(missing_ok=True)
        state = State.fresh(stream.path, len(stream), _extent(stream))
        return _run(stream, directory, config, state, device, quiet)


def resume(
    run_directory: Path | str, *, device: str | None = None, quiet: bool = False
) -> dict[str, float | int | str]:
    """Continue an interrupted run from its last finished stage."""
    directory = Path(run_directory)
    state = checkpoint.load(directory)
    config = configuration.load(TrainConfig, directory / CONFIG)
    chosen = choose_device(device or config.device)
    with PatternStream(state.patterns, config.block, config.memory_gib) as stream:
        if len(stream) != len(state.orientations):
            raise UserError(
                f"{state.patterns} holds {len(stream):,} patterns, the run was started with "
                f"{len(state.orientations):,}; train again"
            )
        return _run(stream, directory, config, state, chosen, quiet)


def _extent(stream: PatternStream) -> dict[str, float]:
    radius = stream.pixels.radius
    return {
        "particle_diameter_angstrom": stream.diameter_angstrom,
        "s_min_per_angstrom": float(radius[0]),
        "s_max_per_angstrom": float(radius[-1]),
    }


def _run(
    stream: PatternStream,
    directory: Path,
    config: TrainConfig,
    state: State,
    device: torch.device,
    quiet: bool,
) -> dict[str, float | int | str]:
    monitor = Monitor(directory / "metrics.jsonl", quiet)
    march = March(stream, config, device)
    if state.volume is not None:
        state.volume = state.volume.to(device)
    for stage in plan(march):
        if stage.name in state.done:
            continue
        began = time.monotonic()
        stage.run(march, state, monitor)
        state.seconds[stage.name] = time.monotonic() - began
        state.done.append(stage.name)
        checkpoint.save(state, directory)
    return export.write(state, directory, _summary(state, stream, device))


def plan(march: March) -> list[Stage]:
    """Return the stages of a run, in order."""
    rungs = limits(march.stream, march.config)
    following = [*rungs[1:], rungs[-1]]
    if march.config.single_pass:
        return [_START, *_passes(march, rungs, following), _ENCODER]
    epochs = [_epoch(i, *pair) for i, pair in enumerate(zip(rungs, following, strict=True))]
    # The encoder challenges the poses once they are nearly final, and the last epoch profits.
    return [_START, _SEARCH, *epochs[:-1], _ENCODER, epochs[-1]]


def _start(march: March, state: State, monitor: Monitor) -> None:
    config, stream = march.config, march.stream
    s_max = min(config.start.reach / stream.diameter_angstrom, float(march.pixels.radius[-1]))
    pixels = march.pixels_within(s_max)
    blocks = stream.blocks(0, min(len(stream), config.start.buffer))
    counts = torch.cat([photons.dense(len(pixels)) for _, photons in blocks]).to(march.device)
    decoder = robust_start(counts, pixels, stream.diameter_angstrom, config, monitor)
    state.volume = decoder.volume()


def _encoder(march: March, state: State, monitor: Monitor) -> None:
    encoder = teach.teach(march, state, monitor)
    teach.challenge(march, state, encoder, monitor)
    state.encoder = {name: value.cpu() for name, value in encoder.state_dict().items()}


def _epoch(number: int, s_now: float, s_next: float) -> Stage:
    def run(march: March, state: State, monitor: Monitor) -> None:
        march.epoch(state, number, s_now, s_next, monitor)

    return Stage(f"refine {number + 1}", run)


def _passes(march: March, rungs: list[float], following: list[float]) -> list[Stage]:
    """Return one stage per consecutive part of the stream, each a rung further out."""
    count = len(march.stream)
    bounds = [round(count * i / len(rungs)) for i in range(len(rungs) + 1)]

    def stage(number: int) -> Stage:
        def run(march: March, state: State, monitor: Monitor) -> None:
            rows = slice(bounds[number], bounds[number + 1])
            march.chunk(state, number, rows, rungs[number], following[number], monitor)

        return Stage(f"pass {number + 1}", run)

    return [stage(i) for i in range(len(rungs)) if bounds[i + 1] > bounds[i]]


_START = Stage("start", _start)
_SEARCH = Stage("search", lambda march, state, monitor: march.search(state, monitor))
_ENCODER = Stage("encoder", _encoder)


def _summary(
    state: State, stream: PatternStream, device: torch.device
) -> dict[str, float | int | str]:
    seconds = sum(state.seconds.values())
    return {
        "method": "xrai",
        "patterns": len(stream),
        "seconds": seconds,
        "patterns_per_s": len(stream) / seconds,
        "d_min_angstrom": 1 / float(stream.pixels.radius[-1]),
        "device": str(device),
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        **_by_kind(state.seconds),
        **state.figures,
    }


def _by_kind(seconds: dict[str, float]) -> dict[str, float]:
    """Return seconds summed over stages of one kind: start, search, refine, encoder, pass."""
    total: dict[str, float] = {}
    for name, value in seconds.items():
        key = f"seconds_{name.split()[0]}"
        total[key] = total.get(key, 0.0) + value
    return total
