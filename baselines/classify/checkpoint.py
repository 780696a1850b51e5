"""The state of a classification between iterations, and its file."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.classify.averages import Classes
from xraisim.core.errors import FormatError, UserError
from xraisim.files.atomic import disk_errors, partial_path

NAME = "checkpoint.pt"
_FORMAT = "x-rai classify checkpoint 1"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The classes, and each pattern's relative fluence."""

    classes: Classes
    fluence: Float[Tensor, "N"]


@dataclass(kw_only=True)
class State:
    """Everything that the next iteration needs.

    ``key``: settings and patterns it belongs to. ``iteration``: of the current start. ``evidence``:
    log-likelihood per photon of the last one. ``worst``: patterns that the classes explain worst.
    ``starts``: final evidence of the starts made; ``leader``: the likeliest. ``lines``: entries in
    metrics.jsonl. ``seconds``: time spent.
    """

    key: str
    iteration: int = 0
    current: Estimate | None = None
    evidence: float | None = None
    worst: list[int] = field(default_factory=list)
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
        for name in ("current", "leader"):
            if content[name] is not None:
                classes = Classes(**content[name].pop("classes")).to(device)
                content[name] = Estimate(classes=classes, **content[name])
        state = State(**content)
    except (RuntimeError, KeyError, TypeError, EOFError, ValueError) as error:
        raise FormatError(f"{path} is not a readable checkpoint ({error}); start afresh") from error
    if state.key != key:
        raise UserError(
            f"{path} belongs to other patterns or settings than those given; resume with the same "
            "ones, or start afresh in another directory (--out)"
        )
    return state
