"""The state of a reconstruction between iterations, and its file."""

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from baselines.emc.iterate import Estimate, Poses
from xraisim.core.errors import FormatError, UserError
from xraisim.core.types import Volume
from xraisim.files.atomic import disk_errors, partial_path

NAME = "checkpoint.pt"
_FORMAT = "x-rai emc checkpoint 1"


@dataclass(kw_only=True)
class State:
    """Everything that the next iteration needs.

    ``key``: settings and patterns it belongs to. ``stage``, ``iteration``: where the march is.
    ``evidence``: log-likelihood per photon of the last iteration of this stage. ``starts``: the
    final one of each random start; ``leader``: the estimate of the likeliest. ``lines``: entries
    in metrics.jsonl. ``seconds``: time spent.
    """

    key: str
    stage: int = 0
    iteration: int = 0
    estimate: Estimate | None = None
    poses: Poses | None = None
    evidence: float | None = None
    starts: list[float] = field(default_factory=list)
    leader: Estimate | None = None
    lines: int = 0
    seconds: float = 0.0


def save(state: State, directory: Path) -> None:
    """Write the state; an interruption leaves the previous checkpoint whole."""
    path = directory / NAME
    with disk_errors(path):
        torch.save({"format": _FORMAT, **asdict(state)}, partial_path(path))
        os.replace(partial_path(path), path)


def load(directory: Path, key: str, device: torch.device) -> State:
    """Read the state of a run directory.

    Raises :class:`FormatError` if there is none to read, :class:`UserError` if it is another run's.
    """
    path = directory / NAME
    if not path.exists():
        raise FormatError(
            f"{directory} holds no {NAME}: nothing to resume (a finished run removes it); leave "
            "out --resume to start afresh"
        )
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        if content.pop("format") != _FORMAT:
            raise KeyError("format")
        for name in ("estimate", "leader"):
            content[name] = _estimate(content[name], device)
        if content["poses"] is not None:
            content["poses"] = Poses(**content["poses"])
        state = State(**content)
    except (RuntimeError, KeyError, TypeError, EOFError, ValueError) as error:
        raise FormatError(f"{path} is not a readable checkpoint ({error}); start afresh") from error
    if state.key != key:
        raise UserError(
            f"{path} belongs to other patterns or settings than those given; resume with the same "
            "ones, or start afresh in another directory (--out)"
        )
    return state


def _estimate(content: dict[str, Any] | None, device: torch.device) -> Estimate | None:
    if content is None:
        return None
    volume = Volume(**content["volume"])
    return Estimate(
        volume=replace(volume, values=volume.values.to(device)),
        fluence=content["fluence"].to(device),
        covered=content["covered"],
    )
