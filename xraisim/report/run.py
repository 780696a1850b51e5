"""A run as its directory tells of it: any method's, finished or not, and while it is being written.

Every file may be missing; one that is damaged is named.
"""

import math
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xraisim.core.errors import FormatError, SamplingError, reading
from xraisim.core.fsc import Resolution
from xraisim.core.halves import RULE, agreement
from xraisim.core.types import Volume
from xraisim.files.events import METRICS, read_events
from xraisim.files.patterns import PatternReader
from xraisim.files.poses import read_poses
from xraisim.files.result import INTENSITY, POSES, Result, half_paths, read_result
from xraisim.files.volumes import read_attributes, read_volume
from xraisim.report.patterns import Predictor, Scores, score

LOGGED = f"{RULE}_angstrom"  # of the half-sets, in a line of the log
# What in a line of its log tells whose run it is, until there is a result.
_LOGS = {"event": "xrai", "level": "emc"}
_DENSITIES = ("density.h5", "density.mrc", "phasing/density.mrc")
_A = {"intensity": "an intensity", "density": "a density"}
_ANY_OF = (METRICS, "config.toml", "result.json", "summary.json", INTENSITY, "intensity.mrc")


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, finished or not; what is not there is None or empty.

    ``events``: the lines of metrics.jsonl. ``result``: None while it has not ended. ``config``:
    TOML text. ``volumes``: intensities by class number, a single one under 0. ``s_range``: (|s| of
    the innermost and outermost pixel used, Å⁻¹). ``poses``: columns over patterns. ``patterns``:
    their file, to compare them with predictions.
    """

    directory: Path
    events: tuple[dict[str, Any], ...] = ()
    result: Result | None = None
    config: str = ""
    volumes: Mapping[int, Volume] = field(default_factory=dict)
    halves: tuple[Volume, Volume] | None = None
    density: Volume | None = None
    s_range: tuple[float, float] = (0.0, math.inf)
    poses: Mapping[str, np.ndarray] = field(default_factory=dict)
    patterns: Path | None = None

    @property
    def finished(self) -> bool:
        """Whether the run has ended by itself."""
        return self.result is not None

    @property
    def method(self) -> str:
        """The method that made it, as its result says or its log tells; empty if neither does."""
        if self.result is not None:
            return self.result.method
        first = self.events[0] if self.events else {}
        return next((method for name, method in _LOGS.items() if name in first), "")

    @property
    def symmetry(self) -> str:
        """The particle's point group, as the run was told."""
        return str(tomllib.loads(self.config).get("symmetry", "C1"))

    @property
    def warnings(self) -> dict[str, int]:
        """The reasons of the warnings, and how often each was given."""
        told = [event for event in self.events if event.get("event") == "warning"]
        found = Counter(str(event.get("reason", "without a reason")) for event in told)
        said = self.result.warnings if self.result else ()
        return dict(found) | {one: 1 for one in said if one not in found}

    def column(self, name: str) -> np.ndarray:
        """Return a figure of every event, float64; NaN where it is not known."""
        return figure_of(self.events, name)

    def named_volumes(self) -> dict[str, Volume]:
        """Return the intensities by what they are called: a class has a number."""
        if len(self.volumes) == 1:
            return {"intensity": next(iter(self.volumes.values()))}
        return {f"class {number}": volume for number, volume in self.volumes.items()}

    def resolution(self) -> Resolution | None:
        """Return how far the half-sets agree, None where nothing tells.

        As the result says, else the last line of the log that does, else their volumes.
        """
        if self.result is not None and self.result.resolution is not None:
            return self.result.resolution
        told = [event for event in self.events if event.get(LOGGED) is not None]
        if told:
            edge = bool(told[-1].get("reached_edge"))
            angstrom = float(figure_of(told[-1:], LOGGED)[0])
            return Resolution(rule=RULE, angstrom=angstrom, reached_edge=edge)
        try:
            found = None if self.halves is None else agreement(self.halves, *self.s_range)
        except SamplingError:
            return None
        return None if found is None else found.resolution

    def predictor(self, patterns: int) -> Predictor | None:
        """Return what predicts the patterns of a file, or None while volumes or poses are missing.

        A run that goes on may not have seen all of the ``patterns``: the others have no pose.
        """
        classes = self.poses.get("class_id") if len(self.volumes) > 1 else None
        if not self.volumes or "orientations" not in self.poses:
            return None
        if len(self.volumes) > 1 and classes is None:
            return None
        orientations = self.poses["orientations"]
        fluence = self.poses.get("fluence", np.full(len(orientations), np.nan))
        more = 0 if self.finished else max(0, patterns - len(orientations))
        return Predictor(
            run=self.directory,
            volumes=self.volumes,
            s_max_per_angstrom=self.s_range[1],
            orientations=np.pad(orientations, ((0, more), (0, 0)), constant_values=np.nan),
            fluence=np.pad(fluence.astype(float), (0, more), constant_values=np.nan),
            class_id=None if classes is None else np.pad(classes, (0, more)),
        )

    @cached_property
    def scores(self) -> Scores | None:
        """How well patterns fit their predictions; None without their file, volumes or poses."""
        if self.patterns is None:
            return None
        with PatternReader(self.patterns) as reader:
            predictor = self.predictor(reader.n_patterns)
            return None if predictor is None else score(predictor, reader)


def read_run(directory: Path, density: Path | None = None, patterns: Path | None = None) -> Run:
    """Read a run's directory; ``density``: a map made from its intensity (MRC or HDF5).

    ``patterns``: its pattern file, if that is to be looked at. Raises :class:`FormatError` if there
    is no run, or a file is damaged.
    """
    if not any((directory / name).exists() for name in _ANY_OF):
        raise FormatError(
            f"{directory} is not the directory of a run: it holds none of {', '.join(_ANY_OF)}; "
            f"make one with: xrai train PATTERNS --out {directory}"
        )
    result = read_result(directory)
    paths = _volume_paths(directory)
    volumes = {number: read_intensity(path) for number, path in paths.items()}
    first = next(iter(paths.values()), None)
    return Run(
        directory=directory,
        events=read_events(directory / METRICS),
        result=result,
        config=read_config(directory / "config.toml"),
        volumes=volumes,
        halves=read_halves(directory),
        density=_read_density(directory, density),
        s_range=read_s_range(first, volumes.values(), result) if first else (0.0, math.inf),
        poses=read_poses(directory / POSES),
        patterns=patterns,
    )


def read_config(path: Path) -> str:
    """Read a configuration as TOML text, empty if there is no file."""
    if not path.exists():
        return ""
    with reading(path, "TOML file"):
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
        return text


def read_intensity(path: Path) -> Volume:
    """Read a volume; raises :class:`FormatError` if it is no intensity."""
    return _read_kind(path, "intensity")


def read_halves(directory: Path) -> tuple[Volume, Volume] | None:
    """Read the intensities of a run's two half-sets; None unless both are there."""
    first, second = half_paths(directory)
    if not (first.exists() and second.exists()):
        return None
    halves = read_intensity(first), read_intensity(second)
    if len({(half.grid, half.spacing) for half in halves}) > 1:
        raise FormatError(f"{first} and {second} differ in their grids; they are not of one run")
    return halves


def read_s_range(
    path: Path, volumes: Iterable[Volume], result: Result | None = None
) -> tuple[float, float]:
    """Return |s| of the innermost and outermost pixel used, Å⁻¹, as far as ``volumes`` reach.

    What the volume file at ``path`` states, else the ``result``, else all that its volume reaches.
    """
    known: dict[str, Any] = {}
    if result is not None and result.d_min_angstrom:
        known["s_max_per_angstrom"] = 1 / result.d_min_angstrom
    return s_range(known | read_attributes(path), volumes)


def s_range(known: Mapping[str, Any], volumes: Iterable[Volume]) -> tuple[float, float]:
    """Return (``s_min_per_angstrom``, ``s_max_per_angstrom``) within the reach of volumes."""
    reach = min((v.grid // 2 - 1) * v.spacing for v in volumes)
    inner = _number(known, "s_min_per_angstrom", "the volume")
    outer = _number(known, "s_max_per_angstrom", "the volume")
    inner, outer = inner or 0.0, reach if outer is None else min(outer, reach)
    if not 0 <= inner < outer:
        raise FormatError(
            f"the volume is of |s| from {inner:g} to {outer:g} Å⁻¹; expected a range of positive s"
        )
    return inner, outer


def figure_of(events: Iterable[Mapping[str, Any]], name: str) -> np.ndarray:
    """Return a figure of every event, float64; NaN where it is not known."""
    values = [_number(event, name, METRICS) for event in events]
    return np.array([math.nan if value is None else value for value in values], float)


def curve_of(event: Mapping[str, Any], name: str) -> np.ndarray:
    """Return a list of figures of an event, float64; NaN where one is not known."""
    values = event[name]
    if not isinstance(values, list):
        raise FormatError(f"{METRICS}: {name} is {values!r:.60}; expected a list of numbers")
    return figure_of([{name: value} for value in values], name)


def last_of(values: np.ndarray) -> float | None:
    """Return the last figure that is known, None where none is."""
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None


def _number(mapping: Mapping[str, Any], name: str, where: str) -> float | None:
    value = mapping.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormatError(f"{where}: {name} is {value!r:.60}; expected a number")
    return math.inf if abs(value) > sys.float_info.max else float(value)


def _volume_paths(directory: Path) -> dict[int, Path]:
    """Return the intensities by class number, or the only one under 0."""
    numbered = {
        int(match[1]): path
        for path in directory.glob("intensity_*.h5")
        if (match := re.fullmatch(r"intensity_(\d+)", path.stem))
    }
    if numbered:
        return dict(sorted(numbered.items()))
    single = (directory / INTENSITY, directory / "intensity.mrc")
    return dict(enumerate([path for path in single if path.exists()][:1]))


def _read_density(directory: Path, given: Path | None) -> Volume | None:
    there = (directory / name for name in _DENSITIES if (directory / name).exists())
    path = given or next(there, None)
    return None if path is None else _read_kind(path, "density")


def _read_kind(path: Path, kind: str) -> Volume:
    volume = read_volume(path)
    if volume.kind != kind:
        raise FormatError(f"{path} holds {_A[volume.kind]}; expected {_A[kind]}")
    return volume
