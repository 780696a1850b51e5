"""Checkpoints at intervals and when the run is told to stop, so that nothing found is lost."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from xrai import checkpoint
from xrai.checkpoint import State
from xrai.sanity import require_finite_state
from xraisim.core.processes import ALONE, Processes

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """The run was told to stop, and its checkpoint is written."""


class Watch:
    """Writes the state of a run: every ``interval_s`` seconds, and before it stops for a signal.

    Several processes hold a round's sums in parts, so they write and stop between rounds only.
    """

    def __init__(self, directory: Path, interval_s: float, processes: Processes = ALONE) -> None:
        self._directory, self._interval, self._processes = directory, interval_s, processes
        self._saved = time.monotonic()
        self._told = 0

    def save(self, state: State) -> None:
        """Write the state now; raises :class:`DivergedError` for one that is not finite."""
        require_finite_state(state)
        if self._processes.is_leader:
            checkpoint.save(state, self._directory)
        self._saved = time.monotonic()

    def after_block(self, state: State) -> None:
        """Write the state if it is time; raises :class:`Interrupted` if told to stop."""
        if self._processes.count > 1:
            return
        if self._told or time.monotonic() - self._saved > self._interval:
            self.save(state)
        self._stop_if_told(state, self._told)

    def after_round(self, state: State) -> None:
        """Write the state; raises :class:`Interrupted` if any of the processes was told to stop."""
        self.save(state)
        told = torch.tensor(self._told)
        self._processes.sum(told)
        self._stop_if_told(state, int(told) and (self._told or signal.SIGTERM))

    def _stop_if_told(self, state: State, number: int) -> None:
        if number:
            where = f"after {state.position:,} patterns of round {state.rounds + 1}"
            raise Interrupted(
                f"stopped by {signal.Signals(number).name} "
                f"{where if state.round else f'after round {state.rounds}'}; continue with "
                f"`xrai resume {self._directory}`"
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
        if self._told:
            raise KeyboardInterrupt
        self._told = number
