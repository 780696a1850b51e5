"""What a metric is, and how one is registered."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.comparison import Comparison, resolution
from benchmarks.record import Curve, Value
from xraisim.core.fsc import Resolution


@dataclass(frozen=True, kw_only=True)
class ShellCurve:
    """A correlation shell by shell, from which a metric is read.

    ``shells``: the curve of a reconstruction beside the truth; ``title``: of its figure.
    """

    name: str
    title: str
    shells: Callable[[Comparison], Curve]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that says how good a result is.

    ``name`` states the rule and is the key in records; ``rule``: the same in words. ``measure``:
    the number, or None where this result has nothing to measure. ``threshold`` and ``curve``: what
    it is read from, if it is. ``ideal``: the value that is right, of a metric of which neither less
    nor more is better; ``better`` is then the milder side.

    How it is shown: ``heading`` of its column (default: name and unit) and ``short`` on a terminal,
    with line breaks; ``digits`` behind the point; ``absent``: for what was not reached. ``ranged``:
    a terminal shows the range over seeds too. ``in_table``: whether it has a column (the page lists
    all), ``on_terminal``: on a terminal too, whose eighty characters are few. ``in_check``: whether
    a worse value fails ``xrai-bench check``; ``least_spread``: what it may move by in any case, as
    a share and absolute.
    """

    name: str
    rule: str
    unit: str
    better: Literal["lower", "higher"]
    measure: Callable[[Comparison], Value | None]
    threshold: float | None = None
    curve: ShellCurve | None = None
    ideal: float | None = None

    heading: str = ""
    short: str = ""
    digits: int = 1
    absent: str = "not reached"
    ranged: bool = False
    in_table: bool = True
    on_terminal: bool = True
    in_check: bool = True
    least_spread: tuple[float, float] = (0.01, 0.0)

    @property
    def aim(self) -> str:
        """What is better, in words."""
        return self.better if self.ideal is None else f"nearer {self.ideal:g}"

    @property
    def worst(self) -> float:
        """What counts for a value that was not reached."""
        return math.inf if self.better == "lower" else -math.inf

    def number(self, value: Value | None) -> float:
        """Return a value as a number, the worst one where there is none."""
        return self.worst if value is None or value.value is None else value.value

    def text(self, number: float) -> str:
        """Return a number as text, without its unit."""
        return f"{number:,.{self.digits}f}" if math.isfinite(number) else self.absent


METRICS: dict[str, Metric] = {}


def register(metric: Metric) -> None:
    """Make a metric known to the benchmark under its name."""
    METRICS[metric.name] = metric


def crossing(*, name: str, rule: str, threshold: float, curve: ShellCurve, **shown: Any) -> Metric:
    """Return the resolution (Å) at which ``curve`` first falls below ``threshold``.

    ``shown``: the fields of a metric that say how it is shown.
    """

    def measure(comparison: Comparison) -> Value:
        return of_resolution(resolution(comparison.once(curve.shells), name, threshold))

    return Metric(
        name=name, rule=rule, unit="Å", better="lower", measure=measure, threshold=threshold,
        curve=curve, absent="not resolved", **shown,
    )  # fmt: skip


def of_resolution(found: Resolution) -> Value:
    """Return a resolution as the value of a metric."""
    return Value(value=found.angstrom, reached_edge=found.reached_edge)
