"""``xrai-baseline emc`` as a measured command, its volume kept after every iteration."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from baselines.emc import EmcConfig, Level
from baselines.emc.checkpoint import NAME as CHECKPOINT
from benchmarks.perf.measured_command import CommandError, thread_limit
from xraisim.core import config as toml
from xraisim.core.json_text import to_json
from xraisim.core.types import Volume
from xraisim.files.result import is_finished
from xraisim.files.volumes import read_volume

_COMMAND = "from baselines.cli import main; main()"
_POLL_S = 0.02
_SHOWN_CHARACTERS = 2000
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
        numbers = range(1, len(self.done_s))
        early = [_checkpoint_volume(self.folder / f"volumes/{n:03d}.pt") for n in numbers]
        return [*early, read_volume(self.folder / "intensity.h5")]


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
        (folder / "volumes").mkdir(parents=True, exist_ok=True)
        settings = folder / "settings.toml"
        text = config.read_text() if isinstance(config, Path) else toml.dumps(config)
        settings.write_text(text)
        _run(patterns, folder, settings, threads, seed)
    times = json.loads((folder / _TIMES).read_text())
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return OursRun(folder=folder, metrics=[json.loads(line) for line in lines], **times)


def _run(patterns: Path, folder: Path, settings: Path, threads: int, seed: int) -> None:
    command = [sys.executable, "-c", _COMMAND, "emc", str(patterns), "--out", str(folder)]
    command += ["--config", str(settings), "--seed", str(seed)]
    done: list[float] = []
    loads: list[float] = []
    began = time.monotonic()
    with (folder / "console.log").open("w") as console:
        process = subprocess.Popen(
            command, env=os.environ | thread_limit(threads), stdout=console, stderr=console
        )
        seen = 0
        while process.poll() is None:
            seen = _keep_checkpoint(folder, seen, began, done, loads)
            time.sleep(_POLL_S)
    wall_s = time.monotonic() - began
    if process.returncode:
        printed = (folder / "console.log").read_text()[-_SHOWN_CHARACTERS:]
        raise CommandError(f"exit code {process.returncode}: {' '.join(command)}\n{printed}")
    if done:
        done[-1] = wall_s  # of the last iteration only the whole volume counts
    times = {"done_s": done or [wall_s], "loads": loads, "wall_s": wall_s}
    (folder / _TIMES).write_text(to_json(times))


def _keep_checkpoint(
    folder: Path, seen: int, began: float, done: list[float], loads: list[float]
) -> int:
    """Keep a new checkpoint under the number of its iteration; return which one was seen last.

    Checkpoints replace one another, so a second link to the file keeps it without copying.
    """
    try:
        found = (folder / CHECKPOINT).stat().st_ino
        if found == seen:
            return seen
        os.link(folder / CHECKPOINT, folder / f"volumes/{len(done) + 1:03d}.pt")
    except FileNotFoundError:
        return seen
    done.append(time.monotonic() - began)
    loads.append(round(os.getloadavg()[0], 2))
    return found


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
