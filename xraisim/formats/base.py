"""What every format gives and takes: a source of patterns, what it knows, and a target."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.formats.known import Experiment, Known

LARGEST_PATTERN = 2**27  # pixels; the largest detectors have an eighth of it

Append = Callable[[Photons], None]
Read = Callable[[int, int], Photons]


@dataclass(kw_only=True)
class Source:
    """An open file of patterns; a context manager.

    ``patterns``: how many; ``known``: what the file says about the experiment; ``notices``: what
    it holds that is not carried over, in sentences; ``read(start, stop)``: photons of a block, with
    flat detector indices ascending within a pattern; ``close()``. Raises :class:`FormatError` for
    a number of pixels that no detector has.
    """

    path: Path
    patterns: int
    known: Known
    read: Read
    close: Callable[[], None] = lambda: None
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 1 <= self.known.pixels <= LARGEST_PATTERN or self.patterns < 0:
            self.close()
            raise FormatError(
                f"{self.path}: {self.patterns} patterns of {self.known.pixels} pixels; expected 1 "
                f"to {LARGEST_PATTERN} pixels: is another of the file's arrays meant (--dataset)?"
            )

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a file is created for: ``experiment`` is None where nothing is known of it."""

    patterns: int
    pixels: int
    shape: tuple[int, int]
    experiment: Experiment | None
    provenance: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is wanted of a file: ``dataset``, where the frames are if that is not to be found out.

    ``mask_missing``: pixels of a virtual data set whose sources are not there are masked; else the
    file is refused.
    """

    dataset: str | None = None
    mask_missing: bool = False


ANYTHING = Wanted()
Open = Callable[[Path, Wanted], Source]
Create = Callable[[Path, Target], AbstractContextManager[Append]]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format: how it is opened (path, what is wanted) and created."""

    title: str
    open: Open
    create: Create
    needs_experiment: bool = False


def overlay(known: Known, other: Known) -> Known:
    """Return ``known`` with everything that ``other`` knows put over it; masks are joined."""
    values = {f.name: getattr(known, f.name) for f in fields(Known)}
    for f in fields(Known):
        value = getattr(other, f.name)
        if value is not None:
            values[f.name] = value
    values["units"] = known.units | other.units
    if known.mask is not None and other.mask is not None:
        values["mask"] = known.mask | other.mask
    return Known(**values)
