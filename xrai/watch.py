"""Checkpoints at intervals and when the run is told to stop, so that nothing found is lost."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from xrai import checkpoint
from xrai.checkpoint import State

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """The run was told to stop, and its checkpoint is written."""


class Watch:
    """Writes the state of a run: every ``interval_s`` seconds, and before it stops for a signal.

    ``writes``: whether this process is the one that writes.
    """

    def __init__(self, directory: Path, interval_s: float, writes: bool = True) -> None:
        self._directory, self._interval, self._writes = directory, interval_s, writes
        self._saved = time.monotonic()
        self._told: int | None = None

    def save(self, state: State) -> None:
        """Write the state now."""
        if self._writes:
            checkpoint.save(state, self._directory)
        self._saved = time.monotonic()

    def after_block(self, state: State) -> None:
        """Write the state if it is time; raises :class:`Interrupted` if told to stop."""
        if self._told is not None or time.monotonic() - self._saved > self._interval:
            self.save(state)
        if self._told is not None:
            name = signal.Signals(self._told).name
            raise Interrupted(
                f"stopped by {name} after {state.position:,} patterns of round {state.rounds + 1}; "
                f"continue with `xrai resume {self._directory}`"
            )

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take note of SIGTERM and Ctrl-C instead of dying in the middle; a second one kills.

        Only the main thread of a program may listen to signals; elsewhere nothing changes.
        """
        try:
            before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        except ValueError:
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._told is not None:
            raise KeyboardInterrupt
        self._told = number
