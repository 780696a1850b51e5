"""What a reconstruction had found after each round, and when: its checkpoints, kept aside.

The run itself does nothing for it: a thread looks for a new checkpoint twenty times a second and
gives it a second name. A checkpoint is written whole and renamed, so what is kept is whole.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.comparison import ScoreConfig, Truth, resolution
from benchmarks.metrics.icc_truth import NAME as ICC
from benchmarks.metrics.icc_truth import match_intensity
from xrai.state import checkpoint

_POLL_S = 0.05


@dataclass
class Snapshots:
    """Checkpoints by the second at which they were found, from the beginning of the run."""

    kept: list[tuple[float, Path]] = field(default_factory=list)

    def seconds_to(self, angstrom: float, truth: Truth, config: ScoreConfig) -> float | None:
        """Return when the volume first reached ``icc_truth_0.5`` ≤ ``angstrom``; None: never.

        The end of the measured range, if the volume ends before it, counts as a crossing.
        """
        for seconds, path in self.kept:
            state = checkpoint.load(path.parent)
            if state.volume is None or not state.rounds:
                continue
            volume = state.volume
            reach = (volume.grid // 2 - 1) * volume.spacing
            within = replace(truth, s_range=(truth.s_range[0], min(truth.s_range[1], reach)))
            _, _, curve = match_intensity(volume, within, config, 0)
            found = resolution(curve, ICC, 0.5).angstrom
            if found is not None and found <= angstrom:
                return seconds
        return None


@contextmanager
def snapshots(run: Path, directory: Path) -> Iterator[Snapshots]:
    """Keep every checkpoint of ``run`` that is written meanwhile under ``directory``."""
    found, done = Snapshots(), threading.Event()
    watching = threading.Thread(target=_watch, args=(run, directory, found, done))
    watching.start()
    try:
        yield found
    finally:
        done.set()
        watching.join()


def _watch(run: Path, directory: Path, found: Snapshots, done: threading.Event) -> None:
    began, last, source = time.monotonic(), None, run / checkpoint.NAME
    while not done.wait(_POLL_S):
        if not source.exists() or (now := source.stat().st_ino) == last:
            continue
        last, seconds = now, time.monotonic() - began
        target = directory / f"{len(found.kept):03d}" / checkpoint.NAME
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(source, target)
        found.kept.append((round(seconds, 2), target))
