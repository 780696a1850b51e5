"""The state of a reconstruction between iterations, and its file."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from baselines.emc.iterate import Estimate, Records
from baselines.emc.models import Model
from xraisim.core.types import Volume
from xraisim.files import checkpoint
from xraisim.files.checkpoint import NAME

__all__ = ["NAME", "State", "load", "save"]

_FORM = checkpoint.Form(
    name="x-rai emc checkpoint",
    version=4,
    oldest=4,
    missing=": nothing to resume (a finished run removes it); leave out --resume to start afresh",
    advice="start afresh",
)


@dataclass(kw_only=True)
class State:
    """Everything that the next iteration needs.

    ``key``: settings and patterns it belongs to. ``stage``, ``iteration``: how far it has come.
    ``estimates``: of all patterns, or of each half-set. ``poses_level``: the level whose columns
    ``poses`` names. ``evidence``: log-likelihood per photon of the last iteration of this stage,
    ``reached``: that of the likeliest orientations, whatever β was; ``gain``: by how much the
    latter rose. ``beta``: of the last iteration. ``starts``: the log-likelihood
    per photon that each random start reached; ``leader``, ``leader_poses``: of the likeliest.
    ``lines``: entries in metrics.jsonl. ``seconds``: time spent.
    """

    key: str
    stage: int = 0
    iteration: int = 0
    estimates: list[Estimate] = field(default_factory=list)
    poses: Records | None = None
    poses_level: int = 0
    evidence: float | None = None
    reached: float | None = None
    gain: float | None = None
    beta: float | None = None
    starts: list[float] = field(default_factory=list)
    leader: list[Estimate] = field(default_factory=list)
    leader_poses: Records | None = None
    lines: int = 0
    seconds: float = 0.0


def save(state: State, directory: Path) -> None:
    """Write the state; an interruption leaves the previous checkpoint whole."""
    checkpoint.write(state, directory, _FORM)


def load(directory: Path, key: str, device: torch.device) -> State:
    """Read the state of a run directory; raises :class:`UserError` if it is another run's."""

    def build(content: dict[str, Any]) -> State:
        for name in ("estimates", "leader"):
            content[name] = [_estimate(one, device) for one in content[name]]
        for name in ("poses", "leader_poses"):
            content[name] = None if content[name] is None else Records(**content[name])
        return State(**content)

    state = checkpoint.read(directory, _FORM, build)
    checkpoint.require_key(state.key, key, directory)
    return state


def _estimate(content: dict[str, Any], device: torch.device) -> Estimate:
    models = [Model(**model | {"volume": Volume(**model["volume"])}) for model in content["models"]]
    placed = [replace(model, volume=model.volume.to(device)) for model in models]
    return Estimate(models=placed, fluence=content["fluence"], known=content["known"])
