"""Checkpoints at intervals and when the run is told to stop, so that nothing found is lost."""

import shlex
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from xrai.state import checkpoint
from xrai.state.checkpoint import require_finite_state
from xrai.state.state import State
from xraisim import stopping
from xraisim.core.processes import ALONE, Processes

_BEFORE_ROUNDS = "the last checkpoint is kept"


class Autosave:
    """Writes the state of a run: every ``interval_s`` seconds, and before it stops for a signal.

    Several processes hold a round's sums in parts, so they write between rounds only.
    """

    def __init__(self, directory: Path, interval_s: float, processes: Processes = ALONE) -> None:
        self._directory, self._interval, self._processes = directory, interval_s, processes
        self._named = shlex.quote(str(directory))
        self._saved = time.monotonic()
        self._kept = _BEFORE_ROUNDS

    def save(self, state: State) -> None:
        """Write the state now; raises :class:`DivergedError` for one that is not finite."""
        require_finite_state(state)
        if self._processes.is_leader:
            checkpoint.save(state, self._directory)
        self._saved, self._kept = time.monotonic(), _words(state)

    def after_block(self, state: State) -> None:
        """Write the state if it is time; raises :class:`Stopped` if told to stop."""
        if self._processes.count > 1:
            return
        if stopping.told():
            stopping.take_time()
        if stopping.told() or time.monotonic() - self._saved > self._interval:
            self.save(state)
        stopping.if_told()

    def round(self) -> AbstractContextManager[None]:
        """Let a signal wait for :meth:`after_block`, where that writes."""
        return stopping.deferred() if self._processes.count == 1 else nullcontext()

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Listen to signals; who stops inside, or finds the disk full, says how to go on."""
        with (
            stopping.listening(),
            stopping.keeping(lambda: f"{self._kept}; continue with `xrai resume {self._named}`"),
        ):
            yield


def _words(state: State) -> str:
    if state.round is not None:
        return f"{state.position:,} patterns of round {state.rounds + 1} are kept"
    if state.rounds:
        return f"what was found after round {state.rounds} is kept"
    return _BEFORE_ROUNDS
