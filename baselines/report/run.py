"""What an EMC run left in its directory, as far as it is there: an unfinished run has less."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import Volume
from xraisim.files.volumes import read_attributes, read_volume
from xraisim.report_figures.patterns import Predictor

# Resolutions that a run may have measured in every iteration, and the rule of each.
_MEASURED = {"fsc_half_0.143_angstrom": "fsc_half_0.143", "icc_half_angstrom": "icc_half_0.143"}
_NEEDED = {"iteration", "level", "restart", "log_likelihood_per_photon"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """An EMC run.

    ``iterations``: the lines of metrics.jsonl. ``summary``: summary.json, empty while the run is
    unfinished. ``config``: TOML text. ``volumes``: intensities by class number, a single one under
    0. ``halves``: intensities of two half-sets, or None. ``s_range``: (|s| of the innermost and
    outermost pixel used, Å⁻¹). ``poses``: columns over patterns.
    """

    directory: Path
    iterations: tuple[dict[str, Any], ...]
    summary: dict[str, Any]
    config: str
    volumes: dict[int, Volume]
    halves: tuple[Volume, Volume] | None
    s_range: tuple[float, float]
    poses: dict[str, np.ndarray]

    def column(self, name: str) -> np.ndarray:
        """Return a figure of every iteration, float64; NaN where it is not known."""
        values = [line.get(name) for line in self.iterations]
        return np.array([math.nan if value is None else value for value in values], float)

    def measured(self) -> tuple[np.ndarray, str] | None:
        """Return the resolution of the half-sets (Å, every iteration) and its rule, if known."""
        for name, rule in _MEASURED.items():
            if np.isfinite(self.column(name)).any():
                return self.column(name), rule
        return None

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
    summary = directory / "summary.json"
    config = directory / "config.toml"
    paths = _volume_paths(directory)
    volumes = {number: _read_intensity(path) for number, path in paths.items()}
    return Run(
        directory=directory,
        iterations=iterations,
        summary=_read_object(summary) if summary.exists() else {},
        config=config.read_text(encoding="utf-8") if config.exists() else "",
        volumes=volumes,
        halves=_read_halves(directory),
        s_range=_s_range(next(iter(paths.values())), volumes) if paths else (0.0, math.inf),
        poses=_read_poses(directory / "poses.h5"),
    )


def _read_metrics(directory: Path) -> tuple[dict[str, Any], ...]:
    path = directory / "metrics.jsonl"
    if not path.exists():
        raise FormatError(
            f"{directory} is not the directory of an EMC run: there is no metrics.jsonl in it; "
            f"make one with: xrai-baseline emc PATTERNS --out {directory}"
        )
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if text and not text.endswith("\n"):
        del lines[-1]  # the run is writing it
    try:
        found = tuple(json.loads(line) for line in lines)
    except json.JSONDecodeError as error:
        raise FormatError(f"{path} holds a line that is not JSON: {error}") from error
    if not found:
        raise FormatError(f"{path} holds no iteration yet; try again when the run has made one")
    missing = sorted(_NEEDED - set(found[0]))
    if missing:
        raise FormatError(
            f"{path} is not of an EMC run: its lines have no {', '.join(missing)}; "
            "expected the directory that xrai-baseline emc wrote"
        )
    return found


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is not a JSON object: {error}") from error


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


def _read_intensity(path: Path) -> Volume:
    volume = read_volume(path)
    if volume.kind != "intensity":
        raise FormatError(f"{path} holds a {volume.kind}; expected an intensity")
    return volume


def _read_halves(directory: Path) -> tuple[Volume, Volume] | None:
    first, second = (directory / f"intensity_half{number}.h5" for number in (1, 2))
    if not (first.exists() and second.exists()):
        return None
    return _read_intensity(first), _read_intensity(second)


def _s_range(path: Path, volumes: dict[int, Volume]) -> tuple[float, float]:
    known = read_attributes(path) if path.suffix == ".h5" else {}
    reach = min((v.grid // 2 - 1) * v.spacing for v in volumes.values())
    outer = min(float(known.get("s_max_per_angstrom", reach)), reach)
    return float(known.get("s_min_per_angstrom", 0.0)), outer


def _read_poses(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    try:
        with h5py.File(path, "r") as file:
            data = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
            found = {name: item[()] for name, item in data.items() if item.ndim}
    except OSError as error:
        raise FormatError(f"{path} is not a readable file of poses: {error}") from error
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise FormatError(f"{path} holds columns of different lengths: {lengths}")
    return found
