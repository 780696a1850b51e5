"""What a run says of itself on its way, against seconds and against patterns, from its log.

Nothing here is compared with the truth: a log has figures, not volumes. X-RAI logs a ``round`` with
``elapsed_s`` since the run began, the ``patterns`` of that round, and figures of its half-sets; EMC
an ``iteration`` with its ``seconds``, and figures of half-sets if it has them. Any other program
may log as either does.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.record import PATTERNS, SECONDS, Trajectory
from xraisim.core.halves import RULE

__all__ = ["PATTERNS", "SECONDS", "find", "told"]

Event = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """``name``: the rule; ``key``: in events; ``edged``: events say where its data end."""

    name: str
    key: str
    unit: str
    edged: bool = False


_FIGURES = (
    _Figure(name=RULE, key=f"{RULE}_angstrom", unit="Å", edged=True),
    _Figure(name="disconcurrence_half_median_deg", key="disconcurrence_deg", unit="°"),
)


def told(events: Iterable[Event]) -> tuple[Trajectory, ...]:
    """Return every trajectory that a log has points of.

    ``seconds``: of wall time since the run began, its start included; for EMC those of the
    iterations. ``patterns``: looked at in rounds so far, again and again counts.
    """
    steps = list(_steps(events))
    made = (_trajectory(steps, one, against) for one in _FIGURES for against in (SECONDS, PATTERNS))
    return tuple(one for one in made if one.x)


def find(events: Iterable[Event], name: str, against: str) -> Trajectory | None:
    """Return the trajectory of a rule, None where the log has none."""
    return next((o for o in told(events) if (o.name, o.against) == (name, against)), None)


def _steps(events: Iterable[Event]) -> Iterator[tuple[dict[str, float | None], Event]]:
    """Yield where each round or iteration is along both axes, None where it is not told."""
    seconds, patterns = 0.0, 0.0
    for one in events:
        if one.get("event") == "round":
            patterns += _number(one.get("patterns")) or 0.0
            yield {SECONDS: _number(one.get("elapsed_s")), PATTERNS: patterns}, one
        elif "iteration" in one:
            seconds += _number(one.get("seconds")) or 0.0
            yield {SECONDS: seconds, PATTERNS: None}, one


def _trajectory(
    steps: Iterable[tuple[dict[str, float | None], Event]], figure: _Figure, against: str
) -> Trajectory:
    """Return the steps that have the figure; one that is null was not reached."""
    points = [
        (at[against], _number(one[figure.key]), figure.edged and one.get("reached_edge") is True)
        for at, one in steps
        if figure.key in one and at[against] is not None
    ]
    if not figure.edged:  # then null is: not asked in this round
        points = [one for one in points if one[1] is not None]
    x, value, edge = zip(*points, strict=True) if points else ((), (), ())
    return Trajectory(
        name=figure.name, unit=figure.unit, against=against, x=x, value=value, reached_edge=edge
    )


def _number(value: Any) -> float | None:
    """Return a finite number as a float; what else a foreign log may have is None."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and math.isfinite(value) else None
