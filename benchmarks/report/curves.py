"""Correlations shell by shell, as 1 − C on a logarithmic axis: what tells good methods apart."""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from benchmarks.metrics import METRICS, ShellCurve
from benchmarks.record import Curve, Record
from benchmarks.report.plot import Plot
from benchmarks.report.style import Figure, Look, layout, legend, resolution_axis

_CLOSEST = 1e-6  # the least 1 − C that is drawn
_BOTTOM = 1.2  # the largest: correlations below −0.2 are noise
_CORRELATIONS = ("0", "0.5", "0.9", "0.99", "0.999", "0.9999", "0.99999", "0.999999")


def plots(records: Sequence[Record], look: Mapping[str, Look]) -> list[Plot]:
    """Return a plot per curve, with every threshold at which a metric is read from it."""
    levels: dict[ShellCurve, dict[str, float]] = {}
    for one in METRICS.values():
        if one.curve is not None and one.threshold is not None:
            levels.setdefault(one.curve, {})[one.name] = one.threshold
    return [
        Plot(title=curve.title, figures={curve.name: _figure(found, thresholds, look)})
        for curve, thresholds in levels.items()
        if (found := _having(records, curve.name))
    ]


def _having(records: Sequence[Record], name: str) -> list[tuple[Record, Curve]]:
    pairs = [(one, one.curve(name)) for one in records]
    return [(one, curve) for one, curve in pairs if curve is not None and curve.value]


def _figure(
    found: Sequence[tuple[Record, Curve]], thresholds: Mapping[str, float], look: Mapping[str, Look]
) -> Figure:
    data = [_line(one, curve, look[one.label]) for one, curve in found]
    s_high = max(max(curve.s_per_angstrom) for _, curve in found)
    best = min(min(trace["y"]) for trace in data)
    top = max(best / 2, _CLOSEST)
    ticks = [text for text in _CORRELATIONS if 1 - float(text) > 0.99 * top]
    return {
        "data": [*legend((one.label for one, _ in found), look, "lines"), *data],
        "layout": layout(
            resolution_axis(0, s_high * 1.02, "resolution (Å)", 0.055),
            {
                "title": "correlation C, on the scale of 1 − C",
                "type": "log",
                "range": [log10(_BOTTOM), log10(top)],
                "tickvals": [1 - float(text) for text in ticks],
                "ticktext": ticks,
            },
            shapes=[_rule(level) for level in thresholds.values()],
            annotations=[_name(rule, level) for rule, level in thresholds.items()],
        ),
    }


def _line(one: Record, curve: Curve, look: Look) -> dict[str, Any]:
    """Return the curve of a run."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": one.label,
        "legendgroup": one.label,
        "showlegend": False,
        "x": curve.s_per_angstrom,
        "y": [max(round(1 - value, 6), _CLOSEST) for value in curve.value],
        "customdata": [
            [round(1 / s, 2), value]
            for s, value in zip(curve.s_per_angstrom, curve.value, strict=True)
        ],
        "line": {"color": look.colour, "dash": look.dash, "width": 1.8},
        "hovertemplate": f"<b>{one.label}</b>, seed {one.seed}<br>"
        "%{customdata[0]} Å: C = %{customdata[1]}<extra></extra>",
    }


def _rule(level: float) -> dict[str, Any]:
    line = {"color": "#57606a", "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1 - level, "y1": 1 - level,
            "line": line, "layer": "below"}  # fmt: skip


def _name(rule: str, level: float) -> dict[str, Any]:
    return {
        "text": rule, "xref": "paper", "x": 0.005, "xanchor": "left", "y": log10(1 - level),
        "yanchor": "bottom", "showarrow": False, "font": {"size": 11, "color": "#57606a"},
    }  # fmt: skip
