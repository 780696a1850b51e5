"""What all figures of the page share: a look for every method, axes of resolution, a layout."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.leaderboard import CEILING, FLOOR
from xraisim.figure_axes import COLOURS

Figure = dict[str, Any]  # ``data`` and ``layout`` of plotly.js

_HUES = tuple(colour for colour in COLOURS if colour != "#000000")
_DASHES = ("solid", "longdash", "dashdot")
_SYMBOLS = ("circle", "square", "diamond")
_GRID = "#e9ecef"
#: these have the same colours on every page
_KNOWN = ("xrai", "emc", "dragonfly", "xrai-paper")
#: leading digits of labels, the roundest first; tenths and hundredths where an axis spans little
_DIGITS = (1, 5, 2, 3, 1.5, 4, 2.5, 8, 6, 7, 9, 1.2, 1.4, 1.6, 1.8)
_TENTHS = tuple(n / 10 for n in range(10, 100))
_HUNDREDTHS = tuple(n / 100 for n in range(100, 1000))
_FEW = 4  # labels that an axis should have
_DECADES = (1000, 100, 10, 1)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a method is drawn: its colour, and what tells it apart where colours run out."""

    colour: str
    dash: str = "solid"
    symbol: str = "circle"


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return a look per method, the same in every figure; the bounds are black and grey."""
    fixed = {
        CEILING: Look(colour="#1f2328", dash="dash", symbol="triangle-up"),
        FLOOR: Look(colour="#8c959f", dash="dot", symbol="triangle-down"),
    }
    others = sorted(set(labels) - {*fixed, *_KNOWN})
    names = [*_KNOWN, *others]
    rounds = [divmod(number, len(_HUES)) for number in range(len(names))]
    return fixed | {
        name: Look(
            colour=_HUES[hue],
            dash=_DASHES[turn % len(_DASHES)],
            symbol=_SYMBOLS[turn % len(_SYMBOLS)],
        )
        for name, (turn, hue) in zip(names, rounds, strict=True)
    }


def legend(labels: Iterable[str], look: Mapping[str, Look], mode: str) -> list[Figure]:
    """Return what stands in the legend: a trace per method that draws nothing."""
    return [
        {
            "type": "scatter", "mode": mode, "name": name, "legendgroup": name,
            "x": [None], "y": [None],
            "line": {"color": look[name].colour, "dash": look[name].dash, "width": 2},
            "marker": {"color": look[name].colour, "symbol": look[name].symbol, "size": 9},
        }
        for name in dict.fromkeys(labels)
    ]  # fmt: skip


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a layout of plotly.js with these axes."""
    return {
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#1f2328"},
        "margin": {"l": 64, "r": 16, "t": 8, "b": 48},
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"size": 12}},
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "showlegend": True,
        "xaxis": _axis(x),
        "yaxis": _axis(y),
        **more,
    }


def _axis(given: dict[str, Any]) -> dict[str, Any]:
    title = {"text": given["title"], "standoff": 8}
    plain = {"gridcolor": _GRID, "linecolor": "#8c959f", "zeroline": False, "ticks": "outside",
             "tickcolor": "#8c959f", "ticklen": 4, "automargin": True}  # fmt: skip
    return plain | given | {"title": title}


def resolution_axis(low: float, high: float, title: str, room: float) -> dict[str, Any]:
    """Return an axis linear in s = 1/d from ``low`` to ``high`` (Å⁻¹), labelled in Å.

    ``room``: the least distance between two labels, as a part of the axis.
    """
    chosen: list[float] = []
    for digits in (_DIGITS, _TENTHS, _HUNDREDTHS):
        if len(chosen) >= _FEW:
            break
        for d in (round(digit * decade, 2) for digit in digits for decade in _DECADES):
            away = min((abs(1 / d - 1 / other) for other in chosen), default=math.inf)
            if low < 1 / d <= high and away > room * (high - low):
                chosen.append(d)
    return {
        "title": title,
        "range": [low, high],
        "tickvals": [1 / d for d in sorted(chosen)],
        "ticktext": [f"{d:g}" for d in sorted(chosen)],
    }


def cost_axis(costs: Iterable[float], title: str) -> dict[str, Any]:
    """Return a logarithmic axis with room for positive ``costs``, labelled with whole numbers."""
    listed = list(costs) or [1.0]
    low, high = (math.log10(end(listed)) for end in (min, max))
    room = max(0.1 * (high - low), 0.15)
    low, high = low - room, high + room
    digits = (1, 2, 5) if high - low > 1 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    decades = range(math.floor(low), math.ceil(high))
    ticks = [digit * 10.0**decade for decade in decades for digit in digits]
    return {
        "title": title,
        "type": "log",
        "range": [low, high],
        "tickvals": ticks,
        "ticktext": [f"{tick:,.10g}" for tick in ticks],
    }
