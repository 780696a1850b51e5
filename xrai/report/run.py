"""What a run of ``xrai train`` has left in its directory so far: a running one has less."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xrai.state import checkpoint
from xraisim.core.errors import FormatError
from xraisim.core.types import Volume
from xraisim.files.poses import check_columns, read_poses
from xraisim.files.result import INTENSITY, POSES, Result, read_result
from xraisim.files.volumes import read_volume
from xraisim.report_figures.patterns import Predictor
from xraisim.report_figures.run_files import (
    figure_of,
    read_config,
    read_events,
    read_halves,
    read_intensity,
    read_s_range,
    s_range,
)

# Events that take in patterns and move the limit: today's, and those of runs without half-sets.
_ROUNDS = ("round", "refine")
_MADE_BY_PHASING = "phasing/density.mrc"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, finished or not; what is not there yet is None or empty.

    ``events``: the lines of metrics.jsonl. ``result``: None while it has not ended. ``config``:
    TOML text. ``patterns``: the file it was made from, as the run says. ``s_range``: (|s| of the
    innermost and outermost pixel used, Å⁻¹). ``poses``: columns over patterns; orientations of
    patterns that were never seen are NaN.
    """

    directory: Path
    events: tuple[dict[str, Any], ...]
    result: Result | None
    config: str
    patterns: Path | None
    intensity: Volume | None
    halves: tuple[Volume, Volume] | None
    density: Volume | None
    s_range: tuple[float, float]
    poses: dict[str, np.ndarray]

    @property
    def symmetry(self) -> str:
        """The particle's point group, as the run was told."""
        return str(tomllib.loads(self.config).get("symmetry", "C1"))

    @property
    def rounds(self) -> list[dict[str, Any]]:
        """The events that took in patterns, in order."""
        return [event for event in self.events if event["event"] in _ROUNDS]

    @property
    def warnings(self) -> dict[str, int]:
        """The reasons of the warnings, and how often each was given."""
        found: dict[str, int] = {}
        for event in self.events:
            if event["event"] == "warning":
                reason = str(event.get("reason", "without a reason"))
                found[reason] = found.get(reason, 0) + 1
        return found

    @property
    def finished(self) -> bool:
        """Whether the run has ended by itself."""
        return self.result is not None

    def column(self, name: str) -> np.ndarray:
        """Return a figure of every round, float64; NaN where it is not known."""
        return figure_of(self.rounds, name)

    def patterns_taken(self) -> np.ndarray:
        """Return how many patterns had been taken in after each round, repeats counted."""
        return np.cumsum(np.nan_to_num(self.column("patterns")))

    def predictor(self, patterns: int) -> Predictor | None:
        """Return what predicts the patterns of a file, or None while volume or poses are missing.

        A run that goes on may not have seen all of the ``patterns``: the others have no pose.
        """
        if self.intensity is None or not {"orientations", "fluence"} <= set(self.poses):
            return None
        orientations, fluence = self.poses["orientations"], self.poses["fluence"]
        if not self.finished and len(fluence) < patterns:
            more = patterns - len(fluence)
            orientations = np.pad(orientations, ((0, more), (0, 0)), constant_values=np.nan)
            fluence = np.pad(fluence, (0, more), constant_values=np.nan)
        return Predictor(
            run=self.directory,
            volumes={0: self.intensity},
            s_max_per_angstrom=self.s_range[1],
            orientations=orientations,
            fluence=fluence,
        )


def read_run(directory: Path, density: Path | None = None) -> Run:
    """Read a run directory; ``density``: a map made from its intensity (MRC or HDF5).

    While volume and poses are not written yet, those of the checkpoint are taken. Raises
    :class:`FormatError` if there is no run, or a file is damaged.
    """
    metrics, config = directory / "metrics.jsonl", directory / "config.toml"
    if not (metrics.exists() or config.exists()):
        raise FormatError(
            f"{directory} is not the directory of a run: there is neither config.toml nor "
            f"metrics.jsonl in it; make one with: xrai train PATTERNS --out {directory}"
        )
    events = read_events(metrics) if metrics.exists() else ()
    if not all(isinstance(event.get("event"), str) for event in events):
        raise FormatError(
            f"{metrics} is not of `xrai train`: it holds lines that name no event; for a run of "
            "`xrai-baseline emc` use `xrai-baseline report`"
        )
    return Run(
        directory=directory,
        events=events,
        result=read_result(directory),
        config=read_config(config),
        density=_read_density(directory, density),
        **_results(directory),
    )


def _results(directory: Path) -> dict[str, Any]:
    """Return patterns, volumes, their range and poses: what was written, or the checkpoint's."""
    path, poses = directory / INTENSITY, read_poses(directory / POSES)
    if path.exists() and poses:
        intensity = read_intensity(path)
        return {
            "patterns": None,
            "poses": poses,
            "intensity": intensity,
            "halves": read_halves(directory),
            "s_range": read_s_range(path, [intensity]),
        }
    if not (directory / checkpoint.NAME).exists():
        nothing: dict[str, Any] = {"patterns": None, "poses": {}, "intensity": None, "halves": None}
        return {**nothing, "s_range": (0.0, math.inf)}
    state = checkpoint.load(directory)
    columns = {name: values.numpy() for name, values in state.outcome().items()}
    check_columns(directory / checkpoint.NAME, columns)
    return {
        "patterns": Path(state.patterns),
        "poses": columns,
        "intensity": state.volume,
        "halves": (state.volumes[0], state.volumes[1]) if len(state.volumes) == 2 else None,
        "s_range": s_range(state.extent, [state.volume]) if state.volume else (0.0, math.inf),
    }


def _read_density(directory: Path, given: Path | None) -> Volume | None:
    path = given or directory / _MADE_BY_PHASING
    if given is None and not path.exists():
        return None
    volume = read_volume(path)
    if volume.kind != "density":
        raise FormatError(f"{path} holds an {volume.kind}; expected a density")
    return volume
