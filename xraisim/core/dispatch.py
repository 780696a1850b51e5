"""Which of two forms of one operation runs: compiled loops on a CPU, torch's everywhere else.

What a GPU would run can be run where there is none: with ``XRAI_LOOPS=torch`` in the environment,
or inside :func:`torch_forms`, a CPU takes torch's forms too. Results agree within rounding; memory
and time do not.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_VARIABLE, _TORCH = "XRAI_LOOPS", "torch"


def in_loops(device: torch.device) -> bool:
    """Return whether compiled loops take the data on ``device``."""
    return device.type == "cpu" and os.environ.get(_VARIABLE) != _TORCH


@contextmanager
def torch_forms() -> Iterator[None]:
    """Take torch's forms on every device, in this process and those that it starts."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = _TORCH
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE)
        if before is not None:
            os.environ[_VARIABLE] = before
