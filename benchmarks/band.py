"""The band of a method on a task: what its figures and curves are over many seeds.

Small files that lie with the records in the repository; new records are held against them
(:mod:`benchmarks.check`). A figure's spread is its standard deviation over the seeds, one in ten
that went astray left out, and no less than a floor: what alignment and rounding alone may move it
by.
"""

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.leaderboard import FSC, ICC, PRTF, angstrom
from benchmarks.record import Curve, Record
from xraisim.core import config
from xraisim.core.errors import ConfigError, FormatError
from xraisim.core.json_text import to_json
from xraisim.core.machine import Hardware
from xraisim.files.atomic import write_text

SCHEMA = "x-rai band 1"
LEAST_SEEDS = 10
_SUFFIX = "-band.json"
_FLOOR_ANGSTROM, _FLOOR_DEG, _FLOOR_PATTERNS = 0.01, 0.02, 0.05  # the last is a share, too
_TO_DEVIATION = 1.4826  # of the median absolute deviation of normal values
_ASTRAY = 6.0
_FLOOR_SHELL = (0.05, 0.002)  # of 1 − C: as a share, absolute


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure, better when lower: its value per seed, None where it was not reached."""

    values: tuple[float | None, ...]
    spread: float

    @property
    def median(self) -> float:
        """The median over the seeds, infinite where most did not reach it."""
        return statistics.median(math.inf if one is None else one for one in self.values)


@dataclass(frozen=True, kw_only=True)
class CurveBand:
    """1 − C of a curve, shell by shell: its median over the seeds, and its spread."""

    s_per_angstrom: tuple[float, ...]
    median: tuple[float, ...]
    spread: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Band:
    """A method on a task over ``seeds``.

    ``config_hashes``: of what was run, per seed. ``warnings``: those that any seed gave, without
    their numbers. ``seconds``: of reconstruction.
    """

    schema: str = SCHEMA
    task: str
    method: str
    seeds: tuple[int, ...]
    config_hashes: tuple[str, ...]
    date: str
    commit: str
    hardware: Hardware
    figures: dict[str, Figure]
    curves: dict[str, CurveBand]
    seconds: Figure
    warnings: tuple[str, ...]


def figures_of(record: Record) -> dict[str, float]:
    """Return the figures of a record that are watched; infinite where it was not reached."""
    found = {f"{rule} (Å)": angstrom(record, rule) for rule in (ICC, FSC, PRTF)}
    if record.pose_error is not None:
        found["pose error, median (°)"] = record.pose_error.median_modulo_mate_deg
        found["pose error, p90 (°)"] = record.pose_error.p90_modulo_mate_deg
        found["pose error, p90, mates are wrong (°)"] = record.pose_error.p90_deg
    if record.effort is not None:
        reached = record.effort.patterns
        name = f"patterns to {record.effort.angstrom:g} Å"
        found[name] = math.inf if reached is None else float(reached)
    return found


def plain(warning: str) -> str:
    """Return a warning without its numbers, so that it is known again."""
    return re.sub(r"\d[\d.,]*", "#", warning)


def make(records: Sequence[Record]) -> Band:
    """Return the band of records of one task and method with at least ten seeds.

    Raises :class:`ConfigError` for fewer seeds, and for runs that failed.
    """
    first, name = records[0], f"{records[0].task}, {records[0].method}"
    failed = [one.seed for one in records if one.error]
    if failed:
        raise ConfigError(f"{name}: the runs of the seeds {failed} failed; a band needs whole runs")
    if len({one.seed for one in records}) < LEAST_SEEDS:
        raise ConfigError(
            f"{name} has records of {len(records)} seeds; a band needs {LEAST_SEEDS}: "
            f"xrai-bench run --task {first.task} --method {first.method} --seeds {LEAST_SEEDS}"
        )
    every = [figures_of(one) for one in records]
    return Band(
        task=first.task,
        method=first.method,
        seeds=tuple(one.seed for one in records),
        config_hashes=tuple(one.config_hash for one in records),
        date=max(one.date for one in records),
        commit=first.commit,
        hardware=first.hardware,
        figures={key: _figure(key, [one[key] for one in every]) for key in every[0]},
        curves={curve.name: _curve_band(curve, records) for curve in first.curves},
        seconds=_figure("seconds", [one.seconds["reconstruct"] for one in records]),
        warnings=tuple(sorted({plain(text) for one in records for text in one.warnings})),
    )


def _figure(name: str, values: Sequence[float]) -> Figure:
    finite = [one for one in values if math.isfinite(one)]
    middle = statistics.median(finite) if finite else 1.0  # any spread will do for infinities
    floor = _FLOOR_DEG if "°" in name else middle * _FLOOR_ANGSTROM
    if name.startswith("patterns"):
        floor = middle * _FLOOR_PATTERNS
    spread = max(_deviation(finite), floor)
    return Figure(
        values=tuple(round(one, 4) if math.isfinite(one) else None for one in values),
        spread=round(spread, 5),
    )


def _deviation(values: Sequence[float]) -> float:
    """Return the standard deviation, without a value that went astray, one in ten at most.

    A seed that ended in a wrong volume would widen the band until nothing failed it; what happens
    to more seeds than that belongs to the method.
    """
    if len(values) < 2:
        return 0.0
    middle = statistics.median(values)
    typical = _TO_DEVIATION * statistics.median(abs(one - middle) for one in values)
    kept = [one for one in values if abs(one - middle) <= _ASTRAY * typical]
    return statistics.stdev(kept if len(values) - len(kept) <= len(values) // 10 else values)


def _curve_band(curve: Curve, records: Sequence[Record]) -> CurveBand:
    every = [shortfall(one.curve(curve.name), curve.s_per_angstrom) for one in records]
    shells = list(zip(*every, strict=True))
    median = [statistics.median(shell) for shell in shells]
    share, least = _FLOOR_SHELL
    spread = [
        max(_deviation(shell), share * abs(middle), least)
        for shell, middle in zip(shells, median, strict=True)
    ]
    return CurveBand(
        s_per_angstrom=curve.s_per_angstrom,
        median=tuple(round(one, 5) for one in median),
        spread=tuple(round(one, 5) for one in spread),
    )


def shortfall(curve: Curve | None, s_per_angstrom: Sequence[float]) -> list[float]:
    """Return 1 − C of a curve at |s| (Å⁻¹), interpolated; 1 in every shell where there is none."""
    if curve is None or not curve.value:
        return [1.0] * len(s_per_angstrom)
    found = np.interp(s_per_angstrom, curve.s_per_angstrom, curve.value)
    return [1 - float(one) for one in found]


def write(directory: Path, band: Band) -> Path:
    """Write a band into a directory of bands; return its path."""
    path = directory / f"{band.task}-{band.method}{_SUFFIX}"
    write_text(path, to_json(asdict(band), indent=1) + "\n")
    return path


def markdown(bands: Mapping[tuple[str, str], Band]) -> str:
    """Return a table of all figures: median, spread, and the range over the seeds."""
    lines = [
        "| task, method | figure | median | spread | over the seeds |",
        "|---|---|---|---|---|",
    ]
    for (task, method), band in sorted(bands.items()):
        for name, figure in band.figures.items():
            reached = [one for one in figure.values if one is not None]
            if not reached:
                continue
            lost = len(figure.values) - len(reached)
            spread = f"{min(reached):.4g} … {max(reached):.4g}" + (
                f", {lost} never" if lost else ""
            )
            cells = (
                f"{task}, {method}",
                name,
                f"{figure.median:.4g}",
                f"{figure.spread:.2g}",
                spread,
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def read_all(directory: Path) -> dict[tuple[str, str], Band]:
    """Return the bands of a directory by task and method; raises :class:`FormatError`."""
    paths = sorted(directory.glob(f"*{_SUFFIX}"))
    if not paths:
        raise FormatError(
            f"{directory} holds no bands (*{_SUFFIX}); make some with: xrai-bench band"
        )
    found = [_read(path) for path in paths]
    return {(one.task, one.method): one for one in found}


def _read(path: Path) -> Band:
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))
        if mapping.get("schema") != SCHEMA:
            raise ConfigError(f"its schema is {mapping.get('schema')!r}, expected {SCHEMA!r}")
        return config.from_mapping(Band, mapping)
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, ConfigError) as error:
        raise FormatError(f"{path} is not a band: {error}") from error
