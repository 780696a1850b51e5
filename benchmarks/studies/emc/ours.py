"""``xrai-baseline emc`` as a measured command, its volume kept after every iteration."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from baselines.emc import EmcConfig, Level
from baselines.emc.checkpoint import NAME as CHECKPOINT
from benchmarks.studies.common.measured_command import measure, thread_limit
from benchmarks.studies.common.snapshots import snapshots
from benchmarks.studies.common.stages import metrics
from xraisim.core import config as toml
from xraisim.core.json_text import to_json
from xraisim.core.types import Volume
from xraisim.files.result import is_finished
from xraisim.files.volumes import read_volume

_COMMAND = "from baselines.cli import main; main()"
_TIMES = "times.json"
_STARTS = 1  # melting leaves little of it
_OVERSAMPLING, _RINGS = 9.0, 8.0  # per speckle: the bright centre of a small detector is steep


@dataclass(frozen=True, kw_only=True)
class OursRun:
    """A run: ``metrics`` has its lines of metrics.jsonl.

    ``done_s``: when each iteration's volume was there, in s after the start of the command;
    ``wall_s``: of the whole command; ``loads``: the load average at the end of each iteration.
    """

    folder: Path
    metrics: list[dict[str, Any]]
    done_s: list[float]
    loads: list[float]
    wall_s: float

    def volumes(self) -> list[Volume | None]:
        """Return each iteration's volume, None where the checkpoint holds none; the last is whole.

        A checkpoint is that program's own affair: where it is not what is expected here, only
        the final volume is known.
        """
        early = [self.folder / "volumes" / f"{n:03d}" for n in range(len(self.done_s) - 1)]
        final = read_volume(self.folder / "intensity.h5")
        return [*(_checkpoint_volume(path / CHECKPOINT) for path in early), final]


def march_to(
    reach: float, d_min_angstrom: float, rotations: int, last: Level | None = None
) -> EmcConfig:
    """Return the default march, its levels below ``reach``, and ``last`` at ``rotations``.

    By default melted and then warm until nothing moves. Poses that began wrong at low resolution
    come free while the posteriors are flat; colder than warm, they would only follow the noise.
    """
    default = EmcConfig()
    below = tuple(level for level in default.levels if level.reach < reach)
    melted = Level(
        reach=reach, rotations=rotations, iterations=30, information=(0.35, 0.75), ramp=14
    )
    return EmcConfig(
        levels=(*below, last or melted),
        restarts=_STARTS,
        d_min_angstrom=d_min_angstrom,
        oversampling=_OVERSAMPLING,
        rings_per_speckle=_RINGS,
    )


def run_ours(
    patterns: Path, folder: Path, config: EmcConfig | Path, *, threads: int, seed: int = 0
) -> OursRun:
    """Run the command in ``folder`` with a configuration, or a file of one; a run there is read."""
    if not is_finished(folder):
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / "settings.toml"
        text = config.read_text() if isinstance(config, Path) else toml.dumps(config)
        settings.write_text(text)
        _run(patterns, folder, settings, threads, seed)
    times = json.loads((folder / _TIMES).read_text())
    return OursRun(folder=folder, metrics=metrics(folder), **times)


def _run(patterns: Path, folder: Path, settings: Path, threads: int, seed: int) -> None:
    command: list[str | Path] = [sys.executable, "-c", _COMMAND, "emc", patterns, "--out", folder]
    command += ["--config", settings, "--seed", str(seed)]
    with snapshots(folder / CHECKPOINT, folder / "volumes") as seen:
        wall_s = measure(command, environment=thread_limit(threads)).wall_s
    # of the last iteration only the whole volume counts
    done_s = [*(one.seconds for one in seen[:-1]), wall_s]
    times = {"done_s": done_s, "loads": [one.load for one in seen], "wall_s": wall_s}
    (folder / _TIMES).write_text(to_json(times))


def _checkpoint_volume(path: Path) -> Volume | None:
    try:
        found = _first_volume(torch.load(path, weights_only=True, map_location="cpu"))
    except (OSError, RuntimeError):
        return None
    return Volume(**found) if found else None


def _first_volume(content: Any) -> dict[str, Any] | None:
    """Return the first table that has a volume's fields, wherever in the content it is."""
    if isinstance(content, dict):
        if set(content) == {"values", "spacing", "kind"}:
            return content
        content = list(content.values())
    if not isinstance(content, list | tuple):
        return None
    return next((found for part in content if (found := _first_volume(part))), None)
