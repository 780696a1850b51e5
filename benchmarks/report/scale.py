"""Where resolutions stand on an axis linear in 1/d, those not reached too."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.record import Value
from benchmarks.report.style import Look, resolution_axis

_PAD = 0.1  # of the range of 1/d, above and below
_HOVER = "%{customdata[0]}<br>%{customdata[1]}<extra></extra>"
_NONE = 0.12  # how far below the coarsest what was not resolved stands
_ROOM = 0.09  # of the axis between two labels
_LEAST = 0.06  # of 1/d that an axis spans at least, so that equal values are not torn apart


@dataclass(frozen=True, kw_only=True)
class Point:
    """A resolution over what it cost; ``low`` and ``high``: finest and coarsest over seeds, Å."""

    cost: float
    value: Value
    what: str
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """The resolution, with its range, as hover shows it."""
        if self.value.value is None:
            return "not resolved"
        sign = "≤ " if self.value.reached_edge else ""
        spread = (
            f" ({self.low:.1f} … {self.high:.1f})" if self.low and self.low != self.high else ""
        )
        return f"{sign}{self.value.value:.1f} Å{spread}"


class Scale:
    """Heights 1/d in Å⁻¹ of the resolutions of a figure."""

    def __init__(self, points: Iterable[Point]) -> None:
        """Make room for all ``points``."""
        listed = list(points)
        found = [1 / d for one in listed for d in (one.value.value, one.low, one.high) if d]
        low, high = (min(found), max(found)) if found else (0.0, 0.1)
        missing = _LEAST * high - (high - low)
        if missing > 0:
            low, high = low - missing / 2, high + missing / 2
        reach = high - low
        self.none = low - _NONE * reach
        self._any_none = any(one.value.value is None for one in listed)
        self._range = (self.none if self._any_none else low) - _PAD * reach, high + _PAD * reach

    def height(self, one: Point) -> float:
        """Return where a point stands."""
        return 1 / one.value.value if one.value.value else self.none

    def axis(self) -> dict[str, Any]:
        """Return the axis, on which a resolution that was not reached is called none."""
        margin = _ROOM * (self._range[1] - self._range[0])
        low = self.none + margin if self._any_none else self._range[0]
        axis = resolution_axis(max(low, 1e-6), self._range[1], "resolution (Å)", _ROOM)
        axis["range"] = list(self._range)
        if self._any_none:
            axis["tickvals"] = [*axis["tickvals"], self.none]
            axis["ticktext"] = [*axis["ticktext"], "none"]
        return axis

    def trace(self, label: str, points: list[Point], look: Look, **more: Any) -> dict[str, Any]:
        """Return the points of a method: filled, hollow where the data end, a cross for none."""
        heights = [self.height(one) for one in points]
        return {
            "type": "scatter", "mode": "markers", "name": label,
            "legendgroup": label, "showlegend": False,
            "x": [one.cost for one in points], "y": heights,
            "customdata": [[one.text, one.what] for one in points],
            "marker": {
                "color": look.colour, "size": 9, "symbol": [_symbol(one, look) for one in points],
                "line": {"color": look.colour, "width": 1.5},
            },
            "hovertemplate": f"<b>{label}</b>: {_HOVER}",
            **more,
        }  # fmt: skip


def _symbol(one: Point, look: Look) -> str:
    if one.value.value is None:
        return "x-thin-open"
    return look.symbol + ("-open" if one.value.reached_edge else "")
