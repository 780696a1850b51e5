"""What an EMC run left in its directory, as far as it is there: an unfinished run has less."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import Volume
from xraisim.files.poses import read_poses
from xraisim.files.result import POSES, Result, read_result
from xraisim.report_figures.patterns import Predictor
from xraisim.report_figures.resolution import LOGGED
from xraisim.report_figures.run_files import (
    figure_of,
    read_config,
    read_events,
    read_halves,
    read_intensity,
    read_s_range,
)

_FORMER = {"icc_half_angstrom": LOGGED}  # of runs that stated no version
_NEEDED = {"iteration", "level", "restart", "log_likelihood_per_photon"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """An EMC run.

    ``iterations``: the lines of metrics.jsonl. ``result``: None while the run is unfinished.
    ``config``: TOML text. ``volumes``: intensities by class number, a single one under 0.
    ``halves``: intensities of two half-sets, or None. ``s_range``: (|s| of the innermost and
    outermost pixel used, Å⁻¹). ``poses``: columns over patterns.
    """

    directory: Path
    iterations: tuple[dict[str, Any], ...]
    result: Result | None
    config: str
    volumes: dict[int, Volume]
    halves: tuple[Volume, Volume] | None
    s_range: tuple[float, float]
    poses: dict[str, np.ndarray]

    def column(self, name: str) -> np.ndarray:
        """Return a figure of every iteration, float64; NaN where it is not known."""
        return figure_of(self.iterations, name)

    def named_volumes(self) -> dict[str, Volume]:
        """Return the volumes by what they are called: a class has a number."""
        if len(self.volumes) == 1:
            return {"intensity": next(iter(self.volumes.values()))}
        return {f"class {number}": volume for number, volume in self.volumes.items()}

    def predictor(self) -> Predictor | None:
        """Return what predicts patterns, or None while volumes or poses are missing."""
        classes = self.poses.get("class_id") if len(self.volumes) > 1 else None
        found = all(name in self.poses for name in ("orientations", "fluence"))
        if not self.volumes or not found or (len(self.volumes) > 1 and classes is None):
            return None
        return Predictor(
            run=self.directory,
            volumes=self.volumes,
            s_max_per_angstrom=self.s_range[1],
            orientations=self.poses["orientations"],
            fluence=self.poses["fluence"],
            class_id=classes,
        )


def read_run(directory: Path) -> Run:
    """Read a run directory; raises :class:`FormatError` if it is none, or a file is damaged."""
    iterations = _read_metrics(directory)
    paths = _volume_paths(directory)
    volumes = {number: read_intensity(path) for number, path in paths.items()}
    first = next(iter(paths.values()), None)
    return Run(
        directory=directory,
        iterations=iterations,
        result=read_result(directory),
        config=read_config(directory / "config.toml"),
        volumes=volumes,
        halves=read_halves(directory),
        s_range=read_s_range(first, volumes.values()) if first else (0.0, math.inf),
        poses=read_poses(directory / POSES),
    )


def _read_metrics(directory: Path) -> tuple[dict[str, Any], ...]:
    path = directory / "metrics.jsonl"
    if not path.exists():
        raise FormatError(
            f"{directory} is not the directory of an EMC run: there is no metrics.jsonl in it; "
            f"make one with: xrai-baseline emc PATTERNS --out {directory}"
        )
    found = read_events(path)
    if not found:
        raise FormatError(f"{path} holds no iteration yet; try again when the run has made one")
    found = tuple({_FORMER.get(name, name): value for name, value in one.items()} for one in found)
    missing = sorted(_NEEDED - set(found[0]))
    if missing:
        raise FormatError(
            f"{path} is not of an EMC run: its lines have no {', '.join(missing)}; "
            "expected the directory that xrai-baseline emc wrote"
        )
    for name in ("level", "restart"):
        if not np.isfinite(figure_of(found, name)).all():
            raise FormatError(f"{path}: not every line has a {name}; it is damaged")
    return found


def _volume_paths(directory: Path) -> dict[int, Path]:
    """Return the intensities by class number, or the only one under 0."""
    numbered = {
        int(match[1]): path
        for path in directory.glob("intensity_*.h5")
        if (match := re.fullmatch(r"intensity_(\d+)", path.stem))
    }
    if numbered:
        return dict(sorted(numbered.items()))
    single = (directory / "intensity.h5", directory / "intensity.mrc")
    return dict(enumerate([path for path in single if path.exists()][:1]))
