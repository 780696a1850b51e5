"""Every checkpoint of a run, kept aside by the second at which it was there.

The run itself does nothing for it: a thread looks for a new checkpoint fifty times a second and
gives it a second name. A checkpoint is written whole and renamed, so what is kept is whole.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.02


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint, ``seconds`` after the beginning; ``load``: the load average then."""

    seconds: float
    path: Path
    load: float


@contextmanager
def snapshots(checkpoint: Path, directory: Path) -> Iterator[list[Snapshot]]:
    """Keep every ``checkpoint`` written meanwhile, as ``directory``/NNN/ and its own name."""
    found: list[Snapshot] = []
    done = threading.Event()
    watching = threading.Thread(target=_watch, args=(checkpoint, directory, found, done))
    watching.start()
    try:
        yield found
    finally:
        done.set()
        watching.join()


def _watch(checkpoint: Path, directory: Path, found: list[Snapshot], done: threading.Event) -> None:
    began, last = time.monotonic(), None
    while not done.wait(_POLL_S):
        target = directory / f"{len(found):03d}" / checkpoint.name
        try:
            if (now := checkpoint.stat().st_ino) == last:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            os.link(checkpoint, target)
        except FileNotFoundError:  # not yet, or not any more
            continue
        last, seconds = now, time.monotonic() - began
        found.append(Snapshot(round(seconds, 2), target, round(os.getloadavg()[0], 2)))
