"""How checks are registered: one decorator for those of a whole file, one for those of a stream.

A check of the file is a function that yields what is wrong. A check of the stream is a class: it is
given every block of patterns once, so that a file is read once however many checks there are. The
first line of the docstring is the check's title.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypeVar, runtime_checkable

import h5py
import numpy as np
from jaxtyping import Bool, Float64

from xraisim.core.types import Photons
from xraisim.files.held import read_whole
from xraisim.files.pattern_schema import OFFSETS
from xraisim.instrument.detector import MaskReason

Severity = Literal["error", "warning"]


class PatternFile:
    """An open HDF5 file with what several checks need; nothing in it is trusted yet."""

    def __init__(self, file: h5py.File) -> None:
        """Wrap an open file."""
        self.file = file

    def array(self, name: str) -> Float64[np.ndarray, "..."]:
        """Return a dataset below ``detector``."""
        return read_whole(self.file[f"detector/{name}"]).astype(np.float64)

    def scalar(self, name: str) -> float:
        """Return a scalar dataset such as ``beam/wavelength``."""
        return float(read_whole(self.file[name]))

    @cached_property
    def good(self) -> Bool[np.ndarray, "P"]:
        """True where a pixel is used."""
        return ~read_whole(self.file["detector/mask"]).astype(bool)

    @cached_property
    def dark(self) -> Bool[np.ndarray, "P"]:
        """True where nothing was counted; a pixel masked because it saturates has its photons."""
        reasons = read_whole(self.file["detector/mask"]).astype(np.int64)
        return (reasons & ~int(MaskReason.SATURATED)) != 0

    @property
    def n_pixels(self) -> int:
        """Pixels of the detector, masked ones included."""
        return len(self.file["detector/mask"])

    @property
    def n_patterns(self) -> int:
        """Patterns by the row offsets."""
        return len(self.file[OFFSETS]) - 1


@runtime_checkable
class StreamCheck(Protocol):
    """A check that sees every block of patterns."""

    def __init__(self, patterns: PatternFile) -> None:
        """Prepare for the blocks of a file."""

    def add(self, start: int, block: Photons) -> None:
        """Look at patterns from ``start``, with flat detector indices within the detector."""

    def problems(self) -> Iterator[str]:
        """Yield what was wrong, after the last block."""


FileCheck = Callable[[PatternFile], Iterator[str]]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A registered check. ``gate``: where it fails, the checks after it cannot run."""

    name: str
    title: str
    severity: Severity
    gate: bool = False
    of_file: FileCheck | None = None
    of_stream: type[StreamCheck] | None = None


CHECKS: list[Check] = []
_OfFile = TypeVar("_OfFile", bound=FileCheck)
_OfStream = TypeVar("_OfStream", bound=type[StreamCheck])


def check(severity: Severity, *, gate: bool = False) -> Callable[[_OfFile], _OfFile]:
    """Register a function as a check of the whole file."""

    def register(function: _OfFile) -> _OfFile:
        CHECKS.append(
            Check(
                name=function.__name__,
                title=_title(function.__doc__),
                severity=severity,
                gate=gate,
                of_file=function,
            )
        )
        return function

    return register


def stream_check(severity: Severity, name: str) -> Callable[[_OfStream], _OfStream]:
    """Register a class as a check of the stream of patterns."""

    def register(cls: _OfStream) -> _OfStream:
        CHECKS.append(Check(name=name, title=_title(cls.__doc__), severity=severity, of_stream=cls))
        return cls

    return register


def _title(text: str | None) -> str:
    return (text or "").strip().splitlines()[0].rstrip(".")
