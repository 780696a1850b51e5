"""The state of a reconstruction, and its file: written whole under a new name, then renamed."""

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core.errors import FormatError
from xraisim.core.types import Volume

NAME = "checkpoint.pt"
_FORMAT = "x-rai checkpoint 1"


@dataclass
class State:
    """Everything that later stages need from earlier ones.

    ``done``: names of the finished stages; ``orientations`` [N, 4] and ``fluence``, ``loglik`` [N]
    of all patterns (identity, one and zero until a pattern has been seen); ``encoder_orientations``
    the encoder's own first choice; ``extent``: what phasing needs to know of the measurement
    (``particle_diameter_angstrom``, ``s_min_per_angstrom``, ``s_max_per_angstrom``).
    """

    patterns: str
    orientations: Float[Tensor, "N 4"]
    fluence: Float[Tensor, "N"]
    loglik: Float[Tensor, "N"]
    encoder_orientations: Float[Tensor, "N 4"]
    extent: dict[str, float]
    volume: Volume | None = None
    encoder: dict[str, Tensor] | None = None
    done: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fresh(cls, patterns: Path, count: int, extent: dict[str, float]) -> "State":
        """Return the state before anything is known."""
        identity = torch.zeros(count, 4)
        identity[:, 0] = 1
        return cls(
            patterns=str(patterns.resolve()),
            orientations=identity,
            fluence=torch.ones(count),
            loglik=torch.zeros(count, dtype=torch.float64),
            encoder_orientations=identity.clone(),
            extent=extent,
        )

    def require_volume(self) -> Volume:
        """Return the volume; its absence would be a stage run out of order."""
        if self.volume is None:
            raise RuntimeError(f"no volume after the stages {self.done}")
        return self.volume


def save(state: State, directory: Path) -> None:
    """Write the state so that an interruption leaves the previous checkpoint whole."""
    content: dict[str, Any] = {**vars(state), "format": _FORMAT}
    if state.volume is not None:
        content["volume"] = vars(state.volume.to("cpu"))
    temporary = directory / f".{NAME}.partial"
    torch.save(content, temporary)
    os.replace(temporary, directory / NAME)


def load(directory: Path) -> State:
    """Read the state of a run directory onto the CPU; raises :class:`FormatError` without one."""
    path = directory / NAME
    if not path.exists():
        raise FormatError(f"{directory} holds no {NAME}; expected a run directory of `xrai train`")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        if content.pop("format") != _FORMAT:
            raise KeyError("format")
        if content["volume"] is not None:
            content["volume"] = Volume(**content["volume"])
        return State(**content)
    except (
        RuntimeError, KeyError, TypeError, EOFError, OSError, ValueError, pickle.UnpicklingError
    ) as error:  # fmt: skip
        raise FormatError(f"{path} is not a readable checkpoint ({error}); train again") from error
