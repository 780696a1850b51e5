"""The file that an iterated computation goes on from: one state, replaced whole or not at all.

What a state holds is for its owner to say, who names its :class:`Form`; how it is written, read and
recognised is said here.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from xraisim import stopping
from xraisim.core import config as toml
from xraisim.core.errors import FormatError, UserError, reading
from xraisim.core.fingerprint import FIRST, fingerprint
from xraisim.files.atomic import whole_file
from xraisim.files.patterns import PatternReader

NAME = "checkpoint.pt"

State = TypeVar("State")


@dataclass(frozen=True, kw_only=True)
class Form:
    """What checkpoints of one method are called, and which versions of them can be read.

    ``missing``: what to say where there is none; ``advice``: what to do with one of no use.
    """

    name: str
    version: int
    oldest: int
    missing: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def require(self, path: Path, stated: object) -> None:
        """Raise :class:`FormatError` unless ``stated`` is this form, of a version that is read."""
        name, _, version = str(stated).rpartition(" ")
        if name != self.name:
            raise FormatError(f"{path} is a {stated!r}; expected an {self}; {self.advice}")
        if not (version.isdigit() and self.oldest <= int(version) <= self.version):
            raise FormatError(
                f"{path} is an {stated}; this program reads {self.name} {self.oldest} to "
                f"{self.version}; go on with the program that wrote it, or {self.advice}"
            )


def write(state: Any, directory: Path, form: Form) -> None:
    """Write a dataclass of dataclasses, lists and tensors, on the CPU.

    An interruption or a full disk leaves the previous checkpoint whole; who is told to stop
    meanwhile stops once it is written. Raises :class:`DiskError` if the disk is full.
    """
    content = {"format": str(form), **_plain(state)}
    # Given a name, torch would write itself and not say what the system said.
    with (
        stopping.deferred(),
        whole_file(directory / NAME) as partial,
        partial.open("wb") as file,
    ):
        torch.save(content, file)


def _plain(value: Any) -> Any:
    """Return nested dataclasses as mappings; unlike ``asdict``, tensors are not copied."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, torch.Tensor):
        return value.cpu()
    return [_plain(one) for one in value] if isinstance(value, list) else value


def read(directory: Path, form: Form, build: Callable[[dict[str, Any]], State]) -> State:
    """Read the state of a run directory onto the CPU; ``build`` makes it of what was written.

    Raises :class:`FormatError` if there is none, or none that can be read.
    """
    path = directory / NAME
    if not path.exists():
        raise FormatError(f"{directory} holds no {NAME}{form.missing}")
    with reading(path, "checkpoint", form.advice):
        content = torch.load(path, weights_only=True, map_location="cpu")
        form.require(path, content.pop("format"))
        return build(content)


def key_of(reader: PatternReader, config: Any, *more: Any) -> str:
    """Return what identifies a run: settings, the patterns' number and fingerprint, and more."""
    first = reader.read(0, min(FIRST, reader.n_patterns))
    known = (toml.dumps(config), reader.n_patterns, fingerprint(reader.pixels, [first]), *more)
    return hashlib.sha256(repr(known).encode()).hexdigest()


def require_key(found: str, key: str, directory: Path) -> None:
    """Raise :class:`UserError` if a checkpoint is not of the settings and patterns given."""
    if found != key:
        raise UserError(
            f"{directory / NAME} belongs to other patterns or settings than those given; resume "
            "with the same ones, or start afresh in another directory (--out)"
        )


def keeping(directory: Path) -> AbstractContextManager[None]:
    """Say, if what is inside is stopped or the disk is full, what is kept and how to go on."""
    path = directory / NAME

    def tell() -> str:
        if not path.exists():
            return f"no iteration is kept yet; begin again with {stopping.again()}"
        return f"{path} holds the last whole iteration; go on with {stopping.again('--resume')}"

    return stopping.keeping(tell)
