"""Hold records against the bands of their tasks: what moved, and by how many spreads.

A single run of ten or more seeds' kind lies within four of their standard deviations but for about
one figure in a thousand, so that nothing is left to a flat percentage. What is better than the band
is told too: a band that has become too wide guards nothing. A resolution is where a curve crosses
its threshold, and jumps where the curve runs along it: its move counts if the curve, watched shell
by shell, moved as well, or never crosses, and is noted otherwise.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.metrics import METRICS, Metric
from benchmarks.record import RUN, Curve, Record
from benchmarks.regression_band import Band, CurveBand, OverSeeds, plain, shortfall, watched

SPREADS = 4.0
WORSE, BETTER, NOTE = "worse", "better", "note"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that moved: ``verdict`` is ``worse`` (fails a check), ``better`` or ``note``."""

    task: str
    method: str
    seed: int
    verdict: str
    text: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.task}, {self.method}, seed {self.seed}: {self.text}"


def check(
    records: Iterable[Record],
    bands: Mapping[tuple[str, str], Band],
    spreads: float = SPREADS,
) -> list[Finding]:
    """Return what moved in records for which there is a band, the worst first."""
    found = []
    for record in records:
        band = bands.get((record.task, record.method))
        if band is not None and record.origin == RUN:
            found += [
                Finding(
                    task=record.task, method=record.method, seed=record.seed,
                    verdict=verdict, text=text,
                )
                for verdict, text in _compare(record, band, spreads)
            ]  # fmt: skip
    return sorted(found, key=lambda one: [WORSE, BETTER, NOTE].index(one.verdict))


def _compare(record: Record, band: Band, spreads: float) -> list[tuple[str, str]]:
    if record.error:
        return [(WORSE, f"failed: {record.error}")]
    curves = {
        name: _curve(name, record.curve(name), curve, spreads)
        for name, curve in band.curves.items()
    }
    found = [one for moved in curves.values() for one in moved]
    now = watched(record)
    for name, metric in METRICS.items():
        if name not in band.metrics:
            continue
        value = now.get(name, metric.worst)
        moved = _moved(metric, value, band.metrics[name], spreads)
        shells = curves.get(metric.curve.name) if metric.curve else None
        found += moved if shells is None or math.isinf(value) else _borne_out(moved, shells)
    found += _warnings(record, band)
    return found + _settings(record, band) + _seconds(record, band, spreads)


def _moved(metric: Metric, now: float, band: OverSeeds, spreads: float) -> list[tuple[str, str]]:
    before = band.median(metric.worst)
    if now == before:  # both may be infinite
        return []
    by = (now - before) / band.spread
    if abs(by) <= spreads:
        return []
    verdict = WORSE if (by > 0) == (metric.better == "lower") else BETTER
    far = f"{abs(by):.1f} spreads" if math.isfinite(by) else "not reached on one side"
    text = f"{metric.name} is {_shown(now, metric)}, the band's median {_shown(before, metric)}"
    return [(verdict, f"{text} ({far})")]


def _borne_out(
    moved: list[tuple[str, str]], shells: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return what is said of a resolution: a note where its curve did not move the same way."""
    same_way = {verdict for verdict, _ in shells}
    return [
        (verdict, text)
        if verdict in same_way
        else (NOTE, f"{text}; no shell of its curve moved as far")
        for verdict, text in moved
    ]


def _shown(value: float, metric: Metric) -> str:
    return f"{value:.4g} {metric.unit}" if math.isfinite(value) else metric.absent


def _curve(
    name: str, curve: Curve | None, band: CurveBand, spreads: float
) -> list[tuple[str, str]]:
    """Return the shell of a curve that moved farthest to either side."""
    now = shortfall(curve, band.s_per_angstrom)
    shells = [
        ((value - middle) / spread, s, value, middle)
        for s, value, middle, spread in zip(
            band.s_per_angstrom, now, band.median, band.spread, strict=True
        )
    ]
    found = []
    for verdict, (by, s, value, middle) in ((WORSE, max(shells)), (BETTER, min(shells))):
        if (by if verdict == WORSE else -by) > spreads:
            text = (
                f"1 − {name} at {1 / s:.1f} Å is {value:.4f}, the band's median {middle:.4f} "
                f"({abs(by):.1f} spreads)"
            )
            found.append((verdict, text))
    return found


def _warnings(record: Record, band: Band) -> list[tuple[str, str]]:
    return [
        (WORSE, f"a warning that no seed of the band gave: {text}")
        for text in record.warnings
        if plain(text) not in band.warnings
    ]


def _settings(record: Record, band: Band) -> list[tuple[str, str]]:
    now = record.config_hash, record.data_seed
    made = dict(zip(band.seeds, zip(band.config_hashes, band.data_seeds, strict=True), strict=True))
    if made.get(record.seed, now) == now:
        return []
    return [(NOTE, "its settings or its data are not those of the band: make the band anew")]


def _seconds(record: Record, band: Band, spreads: float) -> list[tuple[str, str]]:
    """Say where a run took longer; a note, for time depends on what else a machine does.

    Nothing is said of a record of other hardware.
    """
    now, before = record.seconds["reconstruct"], band.seconds.median(math.inf)
    if record.hardware != band.hardware or now <= before + spreads * band.seconds.spread:
        return []
    return [(NOTE, f"the reconstruction took {now:.0f} s, the band's median is {before:.0f} s")]
