"""What a reconstruction tells while it runs: metrics as JSON lines, and progress on the console."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xraisim import console


class Monitor:
    """Appends one JSON object per event to ``metrics.jsonl`` and says the same in a line."""

    def __init__(self, path: Path, quiet: bool = False) -> None:
        self._path = path
        self._quiet = quiet
        self._start = time.monotonic()
        self.seconds: dict[str, float] = {}

    def log(self, event: str, **values: float | int | str | list[float] | None) -> None:
        """Record an event with its figures; NaN is refused, a missing figure is null."""
        entry = {"event": event, "elapsed_s": round(time.monotonic() - self._start, 3), **values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, allow_nan=False) + "\n")
        if not self._quiet:
            shown = "  ".join(
                f"{key} {_show(value)}"
                for key, value in values.items()
                if not isinstance(value, list)
            )
            console.say(f"{event}: {shown}")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        began = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    @contextmanager
    def progress(self, description: str, total: int) -> Iterator[console.Advance]:
        """Show progress, unless quiet."""
        if self._quiet:
            yield lambda units=1, remark="": None
        else:
            with console.progress(description, total) as advance:
                yield advance


def _show(value: float | int | str | None) -> str:
    return f"{value:.5g}" if isinstance(value, float) else f"{value}"
