"""The file that an iterated computation goes on from: one state, replaced whole or not at all."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from xraisim import stopping
from xraisim.core import config as toml
from xraisim.core.errors import FormatError, UserError, reading
from xraisim.core.fingerprint import FIRST, fingerprint
from xraisim.files import saved
from xraisim.files.patterns import PatternReader

NAME = "checkpoint.pt"


class Keyed(Protocol):
    """A state that knows, by ``key``, which settings and patterns it belongs to."""

    key: str


State = TypeVar("State", bound=Keyed)


def key_of(reader: PatternReader, config: Any, *more: Any) -> str:
    """Return what identifies a run: settings, the patterns' number and fingerprint, and more."""
    first = reader.read(0, min(FIRST, reader.n_patterns))
    known = (toml.dumps(config), reader.n_patterns, fingerprint(reader.pixels, [first]), *more)
    return hashlib.sha256(repr(known).encode()).hexdigest()


def keeping_checkpoint(directory: Path) -> AbstractContextManager[None]:
    """Say, if what is inside is stopped or the disk is full, what is kept and how to go on."""
    path = directory / NAME

    def tell() -> str:
        if not path.exists():
            return f"no iteration is kept yet; begin again with {stopping.again()}"
        return f"{path} holds the last whole iteration; go on with {stopping.again('--resume')}"

    return stopping.keeping(tell)


def save(state: Keyed, directory: Path, form: str) -> None:
    """Write a dataclass of dataclasses, lists and tensors; ``form``: name of its format.

    An interruption or a full disk leaves the previous checkpoint whole.
    """
    saved.save({"format": form, **_plain(state)}, directory / NAME)


def _plain(value: Any) -> Any:
    """Return nested dataclasses as mappings; unlike ``asdict``, tensors are not copied."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def load(directory: Path, key: str, form: str, build: Callable[[dict[str, Any]], State]) -> State:
    """Read the state of a run directory; ``build`` makes it of what :func:`save` wrote.

    Raises :class:`FormatError` if there is none to read, :class:`UserError` if it is another run's.
    """
    path = directory / NAME
    if not path.exists():
        raise FormatError(
            f"{directory} holds no {NAME}: nothing to resume (a finished run removes it); leave "
            "out --resume to start afresh"
        )
    with reading(path, "checkpoint", "start afresh"):
        content = torch.load(path, weights_only=True, map_location="cpu")
        if content.pop("format") != form:
            raise KeyError("format")
        state = build(content)
    if state.key != key:
        raise UserError(
            f"{path} belongs to other patterns or settings than those given; resume with the same "
            "ones, or start afresh in another directory (--out)"
        )
    return state
