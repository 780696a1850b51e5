"""Choose a compute device by name."""

import torch

from xraisim.core.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """Return the torch device ``name``; ``auto`` is CUDA where there is a GPU, else the CPU.

    Raises :class:`DeviceError` if it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(
            f"no compute device {name!r} here; use 'cpu', 'auto', or 'cuda' on a machine with a GPU"
        ) from error
