"""Checkpoints: what torch saves, replaced whole or not at all."""

from pathlib import Path
from typing import Any

import torch

from xraisim import stopping
from xraisim.files.atomic import whole_file


def save(content: dict[str, Any], path: Path) -> None:
    """Write tensors and plain data to ``path``; what was there stays until all is written.

    Who is told to stop meanwhile stops once it is written. Raises :class:`DiskError` if the disk is
    full.
    """
    # Given a name, torch would write itself and not say what the system said.
    with stopping.deferred(), whole_file(path) as partial, partial.open("wb") as file:
        torch.save(content, file)
