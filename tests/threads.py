"""One thread for torch in tests, and for numba where processes share the cores."""

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch


def one_thread() -> None:
    """Let torch use one thread from now on: on small matrices more cost more than they bring.

    The first parallel loop of numba sets the threads of the OpenMP library that torch uses too, so
    numba has to begin before torch is told.
    """
    numba.set_num_threads(numba.get_num_threads())
    torch.set_num_threads(1)


def share_cores() -> None:
    """Let loops and torch use one thread each from now on; a test may let loops use all again."""
    numba.set_num_threads(1)
    torch.set_num_threads(1)


@contextmanager
def loops_on(threads: int) -> Iterator[None]:
    """Let loops use so many threads meanwhile."""
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@contextmanager
def loops_on_every_core() -> Iterator[None]:
    """Let loops use all threads that there are."""
    with loops_on(numba.config.NUMBA_NUM_THREADS):
        yield
