"""A run of Dragonfly from pattern file to the run directory that every method leaves."""

import os
import time
from pathlib import Path

import numpy as np

from baselines.external.dragonfly import program
from baselines.external.dragonfly.config import DragonflyConfig
from baselines.external.dragonfly.program import LogLine
from baselines.external.dragonfly.read import Estimate, log_likelihood, output_path, read_iteration
from baselines.external.dragonfly.write import OUTPUT, Input, write_input
from xraisim.console import Advance
from xraisim.core import config as toml
from xraisim.core import machine, so3
from xraisim.core.errors import UserError
from xraisim.core.json_text import to_json
from xraisim.files.atomic import disk_errors
from xraisim.files.events import METRICS
from xraisim.files.poses import write_poses
from xraisim.files.result import INTENSITY, POSES, Result, write_result
from xraisim.files.volumes import write_volume

FOLDER = "dragonfly"  # of the run directory: what it read and wrote


def reconstruct(
    patterns: Path, directory: Path, config: DragonflyConfig, *, progress: Advance | None = None
) -> Result:
    """Run Dragonfly on a pattern file and leave its result as our reconstructions leave theirs.

    Writes ``config.toml``, ``metrics.jsonl``, ``intensity.h5`` and ``.mrc``, ``poses.h5`` and
    ``result.json`` into ``directory``; what the program itself read and wrote stays in its
    subdirectory ``dragonfly``. Raises :class:`NotInstalledError` where there is no Dragonfly, and
    the :class:`UserError` family for input that cannot be used, or if it fails.
    """
    executable = program.find_program(config.programs)
    folder = directory / FOLDER
    with disk_errors(directory):
        (folder / OUTPUT).mkdir(parents=True, exist_ok=True)
        (directory / "config.toml").write_text(toml.dumps(config))
    given = write_input(patterns, folder, config)
    log = _Metrics(directory / METRICS, folder, given, progress)
    complete, seconds = _run(executable, folder, config, log)
    estimate = read_iteration(folder, log.iterations, given)
    found = Result(
        method="dragonfly",
        method_version=program.version(executable),
        patterns=given.patterns,
        seconds=seconds,
        patterns_per_s=given.patterns / seconds,
        d_min_angstrom=1 / given.s_range[1],
        warnings=() if complete else ("stopped by the time limit (time_limit_s)",),
        seed=config.seed,
        peak_memory_gib=machine.peak_gib_of_children(),
        hardware=machine.hardware(),
        figures={
            "iterations": log.iterations,
            "complete": complete,
            "rotations": config.rotations,
            "grid_spacing_deg": float(np.rad2deg(so3.spacing(config.rotations))),
            "log_likelihood_per_photon": float(estimate.loglik.sum() / given.photons.sum()),
        },
    )
    write_results(directory, given, estimate, found, str(patterns))
    return found


def _run(
    executable: Path, folder: Path, config: DragonflyConfig, log: "_Metrics"
) -> tuple[bool, float]:
    """Run the program; return whether all iterations were made, and the seconds it took."""
    began = time.monotonic()
    complete = program.run(
        executable,
        folder,
        config.iterations,
        threads=config.threads or len(os.sched_getaffinity(0)),
        time_limit_s=config.time_limit_s,
        on_iteration=log.write,
    )
    if not log.iterations:
        raise UserError(
            f"Dragonfly made no iteration within time_limit_s = {config.time_limit_s:.0f} s; raise "
            "it, or use fewer patterns, a smaller num_div or a larger d_min_angstrom"
        )
    return complete, time.monotonic() - began


class _Metrics:
    """Writes a line per iteration, and removes the volumes of all but the last two."""

    def __init__(
        self, path: Path, folder: Path, given: Input, progress: Advance | None = None
    ) -> None:
        self._path, self._folder, self._given = path, folder, given
        self._advance = progress
        self.iterations = 0
        with disk_errors(path):
            path.write_text("")

    def write(self, line: LogLine) -> None:
        """Add an iteration."""
        given = self._given
        loglik = float(log_likelihood(self._folder, line.iteration, given).mean())
        values = {
            "iteration": line.iteration,
            "level": 1,
            "restart": 0,
            "beta": line.beta,
            "log_likelihood": loglik,
            "log_likelihood_per_photon": loglik / float(given.photons.mean()),
            "rms_change": line.rms_change,
            "mutual_information_nats": line.information,
            "d_min_angstrom": 1 / given.s_range[1],
            "seconds": line.seconds,
        }
        with disk_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(to_json(values) + "\n")
        output_path(self._folder, line.iteration - 2).unlink(missing_ok=True)
        self.iterations = line.iteration
        if self._advance is not None:
            self._advance(1, f"β {line.beta:.3g}, {loglik:,.1f} nats per pattern")


def write_results(
    directory: Path, given: Input, estimate: Estimate, result: Result, patterns: str
) -> None:
    """Write volume, poses and the result of a finished run."""
    attributes = {
        "method": "dragonfly",
        "particle_diameter_angstrom": given.diameter_angstrom,
        "s_min_per_angstrom": given.s_range[0],
        "s_max_per_angstrom": given.s_range[1],
    }
    with disk_errors(directory):
        write_volume(directory / INTENSITY, estimate.volume, attributes)
        write_volume((directory / INTENSITY).with_suffix(".mrc"), estimate.volume)
    columns = {
        "orientations": estimate.orientations,
        "fluence": estimate.fluence.astype(np.float32),
        "loglik": estimate.loglik.astype(np.float32),
        "mutual_information": estimate.information.astype(np.float32),
    }
    write_poses(directory / POSES, columns, patterns)
    write_result(directory, result)
