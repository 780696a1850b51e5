"""The state of a reconstruction between iterations, and its file."""

import os
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch

from baselines.emc.iterate import Estimate, Poses
from baselines.emc.models import Model
from xraisim.core.errors import FormatError, UserError
from xraisim.core.types import Volume
from xraisim.files.atomic import disk_errors, partial_path

NAME = "checkpoint.pt"
_FORMAT = "x-rai emc checkpoint 2"


@dataclass(kw_only=True)
class State:
    """Everything that the next iteration needs.

    ``key``: settings and patterns it belongs to. ``stage``, ``iteration``: where the march is.
    ``estimates``: of all patterns, or of each half-set. ``poses_level``: the level whose columns
    ``poses`` names. ``evidence``: log-likelihood per photon of the last iteration of this stage;
    ``gain``: by how much it rose. ``beta``: of the last iteration. ``starts``: the log-likelihood
    per photon that each random start reached; ``leader``, ``leader_poses``: of the likeliest.
    ``lines``: entries in metrics.jsonl. ``seconds``: time spent.
    """

    key: str
    stage: int = 0
    iteration: int = 0
    estimates: list[Estimate] = field(default_factory=list)
    poses: Poses | None = None
    poses_level: int = 0
    evidence: float | None = None
    gain: float | None = None
    beta: float | None = None
    starts: list[float] = field(default_factory=list)
    leader: list[Estimate] = field(default_factory=list)
    leader_poses: Poses | None = None
    lines: int = 0
    seconds: float = 0.0


def save(state: State, directory: Path) -> None:
    """Write the state; an interruption leaves the previous checkpoint whole."""
    path = directory / NAME
    with disk_errors(path):
        torch.save({"format": _FORMAT, **_plain(state)}, partial_path(path))
        os.replace(partial_path(path), path)


def _plain(value: Any) -> Any:
    """Return nested dataclasses as mappings; unlike ``asdict``, tensors are not copied."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return [_plain(one) for one in value] if isinstance(value, list) else value


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
        for name in ("estimates", "leader"):
            content[name] = [_estimate(one, device) for one in content[name]]
        for name in ("poses", "leader_poses"):
            content[name] = None if content[name] is None else Poses(**content[name])
        state = State(**content)
    except (RuntimeError, KeyError, TypeError, EOFError, ValueError) as error:
        raise FormatError(f"{path} is not a readable checkpoint ({error}); start afresh") from error
    if state.key != key:
        raise UserError(
            f"{path} belongs to other patterns or settings than those given; resume with the same "
            "ones, or start afresh in another directory (--out)"
        )
    return state


def _estimate(content: dict[str, Any], device: torch.device) -> Estimate:
    models = [Model(**model | {"volume": Volume(**model["volume"])}) for model in content["models"]]
    placed = [replace(model, volume=model.volume.to(device)) for model in models]
    return Estimate(models=placed, fluence=content["fluence"], known=content["known"])
