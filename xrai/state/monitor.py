"""What a reconstruction tells while it runs: metrics as JSON lines, and progress on the console."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from xraisim import console
from xraisim.core.errors import reading
from xraisim.core.halves import RULE
from xraisim.core.json_text import finite, to_json
from xraisim.files.atomic import disk_errors

Scalar = float | int | str | None
Value = Scalar | Sequence[Scalar]

# How figures of known names are said in a line; others are said as "name value".
_WORDS = {
    "kind": "{}",
    "patterns_seen": "{:,} patterns seen",
    "patterns": "{:,} patterns",
    "patterns_per_s": "{:,.0f} patterns/s",
    "loglik_per_pattern": "log-likelihood {:,.1f} per pattern",
    "d_min_angstrom": "to {:.1f} Å",
    "resolution": "{}",
    "misfit_median": "misfit {:.2f} σ",
    "error_deg_median": "poses ±{:.2g}°",
    "turned_deg_median": "turned {:.2g}°",
    "disconcurrence_deg": "half-sets' poses {:.2g}° apart",
    "outliers": "{:.1%} outliers",
    "without_photons": "{:,} without photons",
    "rivals": "{:.1%} likelier elsewhere",
    "cells_ranked": "{} cells ranked",
    "cells_gap": "followed to {:.1f} nats",
}
# What stands behind a progress bar, as far as the last events told it.
_BEHIND_BAR = ("loglik_per_pattern", "resolution")
_REACHED = "d_min_angstrom"


class Monitor:
    """Appends one JSON object per event to ``metrics.jsonl`` and says the same in a line.

    Over an existing file the times go on from its last event: a resumed run is one run. Without a
    ``path`` nothing is written: of several processes one does.
    """

    def __init__(self, path: Path | None, quiet: bool = False) -> None:
        self._path = path
        self._quiet = quiet
        before_s = 0.0
        if path is not None and path.exists():
            _cut_off_half_line(path)
            before_s = _last_elapsed_s(path)
        self._start = time.monotonic() - before_s
        self._latest: dict[str, Value] = {}

    def log(self, event: str, **values: Value) -> None:
        """Record an event with its figures, numbers or lists of numbers.

        JSON has no NaN or infinity: a figure that is not finite is missing, null.
        """
        plain = finite(values)
        entry = {"event": event, "elapsed_s": round(time.monotonic() - self._start, 3), **plain}
        text = to_json(entry)
        if self._path is not None:
            with disk_errors(self._path), self._path.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        self._latest |= {name: value for name, value in plain.items() if value is not None}
        if not self._quiet:
            head, rest = line(event, plain)
            console.say(rest, head, "bold yellow" if event == "warning" else "bold")

    @contextmanager
    def progress(self, description: str, total: int) -> Iterator[console.Advance]:
        """Show progress, speed and time left, with resolution and likelihood so far, unless quiet.

        ``total`` counts patterns, or steps.
        """
        with console.progress(description, total, shown=not self._quiet) as advance:
            remark = self._so_far()
            if remark:
                advance(0, remark)

            def tell(units: int = 1, remark: str = "") -> None:
                advance(units, "  ".join(part for part in (remark, self._so_far()) if part))

            yield tell

    def _so_far(self) -> str:
        names = [name for name in _BEHIND_BAR if name in self._latest]
        if "resolution" not in names and _REACHED in self._latest:
            names.append(_REACHED)
        return "  ".join(_say(name, self._latest[name]) for name in names)


def line(event: str, values: Mapping[str, Value]) -> tuple[str, str]:
    """Return an event as a line for the console: its head, and the rest of it.

    Lists and what is missing are left out. A warning is an event of that name with a ``reason``.
    """
    if event == "warning":
        return "warning:", str(values.get("reason", ""))
    shown = {k: v for k, v in values.items() if isinstance(v, float | int | str)}
    if "patterns_seen" in shown:
        shown.pop("patterns", None)
    if "resolution" in shown:  # which says these in words
        shown = {k: v for k, v in shown.items() if k not in (f"{RULE}_angstrom", "reached_edge")}
    number = shown.pop("number", None)
    head = event if number is None else f"{event} {number}"
    return head, " " + "  ".join(_say(name, value) for name, value in shown.items())


def _say(name: str, value: Value) -> str:
    if name in _WORDS:
        return _WORDS[name].format(value)
    return f"{name} {value:.5g}" if isinstance(value, float) else f"{name} {value}"


def _cut_off_half_line(path: Path) -> None:
    """Remove what a killed run left of an event that it was writing."""
    with reading(path, "file of JSON lines"):
        text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")


def _last_elapsed_s(path: Path) -> float:
    """Return the time of the last event in a file, 0 where there is none."""
    with reading(path, "file of JSON lines"):
        lines = path.read_text(encoding="utf-8").splitlines()
        return float(json.loads(lines[-1]).get("elapsed_s", 0.0)) if lines else 0.0
