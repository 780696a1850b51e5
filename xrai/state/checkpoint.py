"""What of a state is in its checkpoint, and whether it is fit to go on from."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from xrai.state.round import GLOBAL_SEARCH, REFINE, Round
from xrai.state.state import State, TypicalFit
from xraisim.core.finite import require_finite
from xraisim.core.fsc import Resolution
from xraisim.core.merge import Accumulator
from xraisim.core.types import Volume
from xraisim.files import checkpoint
from xraisim.files.checkpoint import NAME

__all__ = ["NAME", "load", "require_finite_state", "save"]

_FORM = checkpoint.Form(
    name="x-rai checkpoint",
    version=4,
    oldest=3,
    missing="; expected a run directory of `xrai train`",
    advice="train again",
)
# What version 3 called its fields, its kinds of rounds and who proposes.
_FORMER = {"teacher": "trainer", "usual": "typical_fit", "reheats": "global_searches"}
_FORMER_CHOICES = {"march": REFINE, "reheat": GLOBAL_SEARCH, "heads": "encoder"}


def save(state: State, directory: Path) -> None:
    """Write the state so that an interruption or a full disk leaves the previous one whole."""
    checkpoint.write(state, directory, _FORM)


def load(directory: Path) -> State:
    """Read the state of a run directory onto the CPU; raises :class:`FormatError` without one."""
    return checkpoint.read(directory, _FORM, _state)


def _state(content: dict[str, Any]) -> State:
    state = State(**_typed(content))
    state.outcome()  # whose columns have to be there, and as long as there are patterns
    return state


def _typed(content: dict[str, Any]) -> dict[str, Any]:
    typed = {_FORMER.get(name, name): value for name, value in content.items()}
    typed.pop("heads_cheaper", None)  # of runs whose choice was timed
    typed["proposing"] = _FORMER_CHOICES.get(typed["proposing"], typed["proposing"])
    if "/" in typed["proposing"]:
        ranked, gap = typed["proposing"].split("/")
        typed |= {"proposing": "encoder", "cells_ranked": int(ranked), "cells_gap": float(gap)}
    typed["columns"] = {name: values.detach() for name, values in typed["columns"].items()}
    typed["volumes"] = [_volume(volume) for volume in typed["volumes"]]
    typed["sums"] = [Accumulator(**sums) for sums in typed["sums"]]
    makers: dict[str, Callable[..., Any]] = {
        "volume": lambda **volume: _volume(volume),
        "typical_fit": TypicalFit,
        "resolution": Resolution,
        "round": _round,
    }
    for name, make in makers.items():
        kept = typed.get(name)  # version 3 began without a resolution
        typed[name] = None if kept is None else make(**kept)
    return typed


def _round(*, kind: str, **rest: Any) -> Round:
    return Round(kind=_FORMER_CHOICES.get(kind, kind), **rest)


def _volume(content: dict[str, Any]) -> Volume:
    shape = tuple(content["values"].shape)
    if len(shape) != 3 or len(set(shape)) != 1:
        raise ValueError(f"a volume of shape {shape} is no cube")
    volume = Volume(**content)
    if not (torch.isfinite(volume.values).all() and 0 < volume.spacing < math.inf):
        raise ValueError("a volume holds values that are not finite")
    return volume


def require_finite_state(state: State) -> None:
    """Raise :class:`DivergedError` if volumes, sums or poses of a state are not finite."""
    where = f"round {state.rounds + bool(state.round)}"
    volumes: list[Volume] = [*state.volumes, *([state.volume] if state.volume else [])]
    for volume in volumes:
        require_finite(f"the volume after {where}", volume.values)
    for sums in state.sums:
        require_finite(f"the sums of photons in {where}", sums.photons)
        require_finite(f"the sums of exposure in {where}", sums.exposure)
    require_finite(f"an orientation in {where}", state.column("orientations")[state.lit])
