"""Resolution against photons per pattern, for tasks that differ in nothing else."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.leaderboard import CEILING, FLOOR, Entry
from benchmarks.metrics import METRICS, Metric
from benchmarks.record import Record, Value
from benchmarks.report.plot import Plot
from benchmarks.report.scale import Point, Scale
from benchmarks.report.style import Figure, Look, cost_axis, layout, legend
from xraisim.core.json_text import to_json

_BEYOND = "photons per pattern beyond s·D = 1.2"
_ALL = "photons per pattern, all of them"
_NOTE = (
    "Medians over seeds, bars: their range. The band lies between oracle and floor, which merge at "
    "true and at random orientations. Hollow: the data end there, the value is as good or better."
)


def plots(entries: Sequence[Entry], look: Mapping[str, Look]) -> list[Plot]:
    """Return a plot for every group of tasks that differ in the photons of a pulse alone."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.records and (key := _but_photons(entry.records[0])):
            groups.setdefault(key, []).append(entry)
    return [
        _plot(group, look) for group in groups.values() if len({entry.task for entry in group}) > 1
    ]


def _but_photons(record: Record) -> str:
    """Return all that was simulated but the photons of a pulse; empty where it is not told."""
    simulated = record.config.get("simulate", {})
    beam = simulated.get("beam")
    if beam is None:
        return ""
    others = {name: value for name, value in beam.items() if name != "photons_per_pulse"}
    return to_json({**simulated, "beam": others}, sort_keys=True)


def _plot(group: Sequence[Entry], look: Mapping[str, Look]) -> Plot:
    tasks = list(dict.fromkeys(entry.task for entry in sorted(group, key=_photons)))
    return Plot(
        title="Resolution against photons: " + ", ".join(tasks),
        figures={m.name: _figure(group, m, look) for m in in_angstrom(group)},
        note=_NOTE,
        wide=True,
    )


def in_angstrom(entries: Sequence[Entry]) -> list[Metric]:
    """Return the metrics that are resolutions, of those that any run has."""
    told = {name for entry in entries for one in entry.records for name in one.metrics}
    return [metric for metric in METRICS.values() if metric.unit == "Å" and metric.name in told]


def _photons(entry: Entry) -> float:
    """Return the photons per pattern: those beyond s·D = 1.2 where the records count them."""
    return median(one.photons_beyond or one.photons_per_pattern for one in entry.records)


def _figure(group: Sequence[Entry], metric: Metric, look: Mapping[str, Look]) -> Figure:
    by_label: dict[str, list[Point]] = {}
    for entry in sorted(group, key=_photons):
        if any(metric.name in one.metrics for one in entry.records):
            by_label.setdefault(entry.label, []).append(_point(entry, metric))
    scale = Scale(one for points in by_label.values() for one in points)
    counted = all(one.photons_beyond for entry in group for one in entry.records)
    bounds = [by_label[name] for name in (FLOOR, CEILING) if name in by_label]
    lines = [_line(name, points, scale, look[name]) for name, points in by_label.items()]
    keys = legend(by_label, look, "lines+markers")
    x = cost_axis(map(_photons, group), _BEYOND if counted else _ALL)
    return {"data": [*_band(bounds, scale), *keys, *lines], "layout": layout(x, scale.axis())}


def _point(entry: Entry, metric: Metric) -> Point:
    row = entry.over_seeds.loc[metric.name]
    finite = {name: float(row[name]) for name in ("median", "min", "max") if abs(row[name]) < 1e30}
    return Point(
        cost=_photons(entry),
        value=Value(value=finite.get("median"), reached_edge=bool(row["reached_edge"])),
        low=finite.get("min"),
        high=finite.get("max"),
        what=f"{entry.task}, {_photons(entry):,.0f} photons, seeds: {len(entry.records)}",
    )


def _line(name: str, points: list[Point], scale: Scale, look: Look) -> Figure:
    heights = [scale.height(one) for one in points]
    up = [1 / one.low - y if one.low else 0 for one, y in zip(points, heights, strict=True)]
    down = [
        y - (1 / one.high if one.high else scale.none)
        for one, y in zip(points, heights, strict=True)
    ]
    return scale.trace(
        name, points, look,
        mode="lines+markers",
        line={"color": look.colour, "dash": look.dash, "width": 2},
        error_y={"type": "data", "symmetric": False, "array": up, "arrayminus": down,
                 "color": look.colour, "thickness": 1.2, "width": 4},
    )  # fmt: skip


def _band(bounds: Sequence[list[Point]], scale: Scale) -> list[Figure]:
    """Return the area between floor and oracle, if there are both."""
    if len(bounds) != 2:
        return []
    plain = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip",
             "showlegend": False}  # fmt: skip
    low, high = (
        plain | {"x": [one.cost for one in mine], "y": [scale.height(one) for one in mine]}
        for mine in bounds
    )
    return [low, high | {"fill": "tonexty", "fillcolor": "rgba(140, 149, 159, 0.13)"}]
