"""The runs of one process among several, as ``torchrun`` or ``srun`` start them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from xraisim.core.slurm import leave, place

Run = TypeVar("Run")


@dataclass(frozen=True, kw_only=True)
class Share:
    """The share of process ``number``, from 0, of ``count``; all of it where there is one."""

    number: int = 0
    count: int = 1

    @classmethod
    def taken(cls) -> "Share":
        """Return that of this process; those that it starts are alone."""
        number, count = place(os.environ)
        leave(os.environ)
        return cls(number=number, count=count)

    @property
    def is_whole(self) -> bool:
        """Whether there are no other processes."""
        return self.count == 1

    def of(self, runs: Sequence[Run], kind: Callable[[Run], Any]) -> list[Run]:
        """Return every ``count``-th of the runs, in their order.

        Those of a ``kind`` are dealt out one after another, so that no process has all slow ones.
        """
        dealt = sorted(range(len(runs)), key=lambda which: kind(runs[which]))
        return [runs[which] for which in sorted(dealt[self.number :: self.count])]

    def held(self, directory: Path) -> Path:
        """Return what this process alone may write to in a directory that they share."""
        return directory / f"process-{self.number + 1}-of-{self.count}"

    def __str__(self) -> str:
        return f"process {self.number + 1} of {self.count}"


WHOLE = Share()
