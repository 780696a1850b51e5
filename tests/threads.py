"""One thread for torch in tests."""

import numba
import torch


def one_thread() -> None:
    """Let torch use one thread from now on: on small matrices more cost more than they bring.

    The first parallel loop of numba sets the threads of the OpenMP library that torch uses too, so
    numba has to begin before torch is told.
    """
    numba.set_num_threads(numba.get_num_threads())
    torch.set_num_threads(1)
