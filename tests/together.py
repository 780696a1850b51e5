"""Several processes for tests, as threads of this one: what they sum is that of all of them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from xraisim.core.processes import Processes

_LONGEST_S = 60
Found = TypeVar("Found")


@dataclass
class _Meeting:
    """Where the threads meet: each brings its tensors, and all see those of all."""

    barrier: threading.Barrier
    brought: dict[int, list[Tensor]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Together(Processes):
    """One of the threads."""

    meeting: _Meeting

    def sum(self, *tensors: Tensor) -> None:
        """As the method of the real ones."""
        everyone = self._exchanged(tensors)
        for number, tensor in enumerate(tensors):
            tensor.copy_(sum(everyone[rank][number] for rank in range(self.count)))

    def agree(self, *tensors: Tensor) -> None:
        """As the method of the real ones."""
        for tensor, first in zip(tensors, self._exchanged(tensors)[0], strict=True):
            tensor.copy_(first)

    def _exchanged(self, tensors: tuple[Tensor, ...]) -> dict[int, list[Tensor]]:
        meeting = self.meeting
        meeting.brought[self.rank] = [tensor.clone() for tensor in tensors]
        meeting.barrier.wait(_LONGEST_S)
        everyone = dict(meeting.brought)
        meeting.barrier.wait(_LONGEST_S)
        return everyone


def together(count: int, work: Callable[[Processes], Found]) -> list[Found]:
    """Return what ``work`` returns in each of ``count`` processes."""
    meeting = _Meeting(threading.Barrier(count))

    def one(rank: int) -> Found:
        try:
            return work(Together(rank=rank, count=count, meeting=meeting))
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
