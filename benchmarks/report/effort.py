"""Resolution against time and against patterns: a point per run, and how runs got there.

Oracle and floor are bounds, drawn across.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.leaderboard import CEILING, FLOOR, Entry
from benchmarks.record import Record, Trajectory, Value
from benchmarks.report.ladder import in_angstrom
from benchmarks.report.plot import Plot
from benchmarks.report.scale import Point, Scale
from benchmarks.report.style import Figure, Look, cost_axis, layout, legend

_BOUNDS = (CEILING, FLOOR)
_TITLES = {"seconds": "seconds of the reconstruction", "patterns": "patterns looked at, each time"}
_NOTES = {
    "seconds": "A point per run; a line is what a run said of itself on its way. Oracle and floor "
    "are drawn across: what they reach bounds the others. Hollow: the data end there, the value is "
    "as good or better.",
    "patterns": "What runs said of themselves on their way. Hollow: the data end there.",
}
_SMALL = 5  # size of the points on the way

Points = dict[str, list[list[Point]]]  # by method, a list for every run


def plots(entries: Sequence[Entry], look: Mapping[str, Look]) -> list[Plot]:
    """Return the plots of one task, those that runs have anything for."""
    names = [metric.name for metric in in_angstrom(entries)]
    names += [one.name for one in _ways(entries) if one.unit == "Å"]
    made = []
    for against, note in _NOTES.items():
        figures = {
            name: figure
            for name in dict.fromkeys(names)
            if (figure := _figure(entries, name, against, look)) is not None
        }
        if figures:
            title = f"Resolution against {against.replace('seconds', 'time')}"
            made.append(Plot(title=title, figures=figures, note=note))
    return made


def _ways(entries: Iterable[Entry]) -> list[Trajectory]:
    return [way for entry in entries for one in entry.records for way in one.trajectories]


def _figure(
    entries: Sequence[Entry], name: str, against: str, look: Mapping[str, Look]
) -> Figure | None:
    """Return the figure of a rule, None where no method has a point in it."""
    ends = _by_method(entries, lambda one: _end(one, name) if against == "seconds" else [])
    ways = _by_method(entries, lambda one: _way(one, name, against))
    bounds = {label: runs for label, runs in ends.items() if label in _BOUNDS}
    methods = {label: runs for label, runs in ends.items() if label not in _BOUNDS}
    shown = _flat(methods) + _flat(ways) or _flat(bounds)
    if not shown:
        return None
    x = cost_axis((one.cost for one in shown), _TITLES[against])
    across = (10 ** x["range"][0], 10 ** x["range"][1])
    scale = Scale(_flat(ends) + _flat(ways))
    data = [*legend(bounds, look, "lines"), *legend([*methods, *ways], look, "lines+markers")]
    data += [_bound(label, _flat({label: bounds[label]}), scale, look, across) for label in bounds]
    data += [_line(label, run, scale, look[label]) for label in ways for run in ways[label]]
    data += [
        scale.trace(label, _flat({label: runs}), look[label]) for label, runs in methods.items()
    ]
    return {"data": data, "layout": layout(x, scale.axis())}


def _by_method(entries: Sequence[Entry], points: Callable[[Record], list[Point]]) -> Points:
    """Return the points of every method, run by run, without runs that have none."""
    found = {entry.label: [points(one) for one in entry.records] for entry in entries}
    return {label: [run for run in runs if run] for label, runs in found.items() if any(runs)}


def _flat(points: Points) -> list[Point]:
    return [one for runs in points.values() for run in runs for one in run]


def _end(one: Record, name: str) -> list[Point]:
    """Return where a run ended."""
    seconds = one.seconds.get("reconstruct", 0.0)
    if seconds <= 0 or name not in one.metrics:
        return []
    what = f"seed {one.seed}, {seconds:,.0f} s"
    return [Point(cost=seconds, value=one.metrics[name], what=what)]


def _way(one: Record, name: str, against: str) -> list[Point]:
    """Return the points that a run told on its way."""
    return [
        Point(
            cost=x,
            value=Value(value=value, reached_edge=edge),
            what=f"seed {one.seed}, after {x:,.0f} {against}",
        )
        for way in one.trajectories
        if (way.name, way.against) == (name, against)
        for x, value, edge in zip(way.x, way.value, way.reached_edge, strict=True)
        if x > 0
    ]


def _line(label: str, run: list[Point], scale: Scale, look: Look) -> Figure:
    made = scale.trace(label, run, look, mode="lines+markers")
    made["marker"]["size"] = _SMALL
    return made | {"line": {"color": look.colour, "dash": look.dash, "width": 1.5}}


def _bound(
    label: str,
    points: Sequence[Point],
    scale: Scale,
    look: Mapping[str, Look],
    across: tuple[float, float],
) -> Figure:
    """Return the median of a bound, drawn across."""
    middle = sorted(points, key=scale.height)[len(points) // 2]
    ends = [Point(cost=cost, value=middle.value, what="whatever the time") for cost in across]
    own = look[label]
    line = {"color": own.colour, "dash": own.dash, "width": 2}
    return scale.trace(label, ends, own, mode="lines", line=line)
