"""The state of a classification between iterations, and its file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.classify.averages import Classes
from xraisim.files import checkpoint
from xraisim.files.checkpoint import NAME

__all__ = ["NAME", "Estimate", "State", "load", "save"]

_FORM = checkpoint.Form(
    name="x-rai classify checkpoint",
    version=2,
    oldest=2,
    missing=": nothing to resume (a finished run removes it); leave out --resume to start afresh",
    advice="start afresh",
)


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
    checkpoint.write(state, directory, _FORM)


def load(directory: Path, key: str, device: torch.device) -> State:
    """Read the state of a run directory; raises :class:`UserError` if it is another run's."""

    def build(content: dict[str, Any]) -> State:
        for name in ("current", "leader"):
            if content[name] is not None:
                classes = Classes(**content[name].pop("classes")).to(device)
                content[name] = Estimate(classes=classes, **content[name])
        return State(**content)

    state = checkpoint.read(directory, _FORM, build)
    checkpoint.require_key(state.key, key, directory)
    return state
