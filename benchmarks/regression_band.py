"""The band of a method on a task: what its metrics and curves are over many seeds.

Small files that lie with the records in the repository; new records are held against them
(:mod:`benchmarks.regression_check`). A metric's spread is its standard deviation over the seeds,
one in ten that went astray left out, and no less than a floor: what alignment and rounding alone
may move it by.
"""

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.metrics import METRICS, Metric
from benchmarks.record import Curve, Record
from xraisim.core import config
from xraisim.core.errors import ConfigError, FormatError
from xraisim.core.json_text import to_json
from xraisim.core.machine import Hardware
from xraisim.files.atomic import write_text

SCHEMA, _FORMER_SCHEMA = "x-rai band 2", "x-rai band 1"
LEAST_SEEDS = 10
_SUFFIX = "-band.json"
_FLOOR_SECONDS = (0.01, 0.0)  # as a share, absolute
_TO_DEVIATION = 1.4826  # of the median absolute deviation of normal values
_ASTRAY = 6.0
_FLOOR_SHELL = (0.05, 0.002)  # of 1 − C: as a share, absolute
_FORMER_NAMES = {
    "icc_truth_0.5 (Å)": "icc_truth_0.5",
    "fsc_truth_0.5 (Å)": "fsc_truth_0.5",
    "prtf_1/e (Å)": "prtf_1/e",
    "pose error, median (°)": "pose_error_median_modulo_mate_deg",
    "pose error, p90 (°)": "pose_error_p90_modulo_mate_deg",
    "pose error, p90, mates are wrong (°)": "pose_error_p90_deg",
    "patterns": "patterns_to_reach_angstrom",
}


@dataclass(frozen=True, kw_only=True)
class OverSeeds:
    """One number per seed, None where it was not reached, and its spread."""

    values: tuple[float | None, ...]
    spread: float

    def median(self, worst: float) -> float:
        """Return the median over the seeds, ``worst`` where most did not reach it."""
        return statistics.median(worst if one is None else one for one in self.values)


@dataclass(frozen=True, kw_only=True)
class CurveBand:
    """1 − C of a curve, shell by shell: its median over the seeds, and its spread."""

    s_per_angstrom: tuple[float, ...]
    median: tuple[float, ...]
    spread: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Band:
    """A method on a task over ``seeds``, those of the method; ``data_seeds``: of its patterns.

    ``config_hashes``: of what was run, per seed. ``warnings``: those that any seed gave, without
    their numbers. ``seconds``: of reconstruction.
    """

    schema: str = SCHEMA
    task: str
    method: str
    seeds: tuple[int, ...]
    data_seeds: tuple[int, ...]
    config_hashes: tuple[str, ...]
    date: str
    commit: str
    hardware: Hardware
    metrics: dict[str, OverSeeds]
    curves: dict[str, CurveBand]
    seconds: OverSeeds
    warnings: tuple[str, ...]


def watched(record: Record) -> dict[str, float]:
    """Return the metrics of a record that a check looks at; the worst where not reached."""
    return {
        name: metric.number(record.metrics[name])
        for name, metric in METRICS.items()
        if metric.in_check and name in record.metrics
    }


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
    every = [watched(one) for one in records]
    metrics = [METRICS[name] for name in every[0]]
    return Band(
        task=first.task,
        method=first.method,
        seeds=tuple(one.seed for one in records),
        data_seeds=tuple(one.data_seed for one in records),
        config_hashes=tuple(one.config_hash for one in records),
        date=max(one.date for one in records),
        commit=first.commit,
        hardware=first.hardware,
        metrics={metric.name: _metric(metric, every) for metric in metrics},
        curves={curve.name: _curve_band(curve, records) for curve in first.curves},
        seconds=_over_seeds([one.seconds["reconstruct"] for one in records], _FLOOR_SECONDS),
        warnings=tuple(sorted({plain(text) for one in records for text in one.warnings})),
    )


def _metric(metric: Metric, every: Sequence[Mapping[str, float]]) -> OverSeeds:
    values = [one.get(metric.name, metric.worst) for one in every]
    return _over_seeds(values, metric.least_spread)


def _over_seeds(values: Sequence[float], floor: tuple[float, float]) -> OverSeeds:
    finite = [one for one in values if math.isfinite(one)]
    middle = statistics.median(finite) if finite else 1.0  # any spread will do for infinities
    share, least = floor
    return OverSeeds(
        values=tuple(round(one, 4) if math.isfinite(one) else None for one in values),
        spread=round(max(_deviation(finite), share * abs(middle), least), 5),
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
    """Return a table of all metrics: median, spread, and the range over the seeds."""
    lines = [
        "| task, method | metric | unit | median | spread | over the seeds |",
        "|---|---|---|---|---|---|",
    ]
    for (task, method), band in sorted(bands.items()):
        for metric in METRICS.values():
            found = band.metrics.get(metric.name)
            reached = [one for one in found.values if one is not None] if found else []
            if not found or not reached:
                continue
            lost = len(found.values) - len(reached)
            spread = f"{min(reached):.4g} … {max(reached):.4g}" + (
                f", {lost} never" if lost else ""
            )
            cells = (
                f"{task}, {method}",
                metric.name,
                metric.unit,
                f"{found.median(metric.worst):.4g}",
                f"{found.spread:.2g}",
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
        if mapping.get("schema") == _FORMER_SCHEMA:
            mapping = _of_schema_1(mapping)
        if mapping.get("schema") != SCHEMA:
            raise ConfigError(f"its schema is {mapping.get('schema')!r}, expected {SCHEMA!r}")
        return config.from_mapping(Band, mapping)
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        AttributeError,
        KeyError,
        ConfigError,
    ) as error:
        raise FormatError(f"{path} is not a band: {error}") from error


def _of_schema_1(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a band as it is today: metrics by their names, the seeds of the data stated.

    The patterns of a run had the seed of the run.
    """
    own = dict(mapping)
    figures = own.pop("figures").items()
    metrics = {_FORMER_NAMES[name.split(" to ")[0]]: one for name, one in figures}
    return own | {"schema": SCHEMA, "data_seeds": own["seeds"], "metrics": metrics}
