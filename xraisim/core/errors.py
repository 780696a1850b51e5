"""Errors that a user can act on: each says what was found, what was expected, what to do next.

:func:`reading` is the one place where what a library raises on bad input becomes such an error.
"""

import difflib
import functools
import os
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar


class UserError(ValueError):
    """Bad input or a condition outside the program; commands print it and exit with code 2."""


class ConfigError(UserError):
    """A configuration key or value that cannot be used."""


class StructureError(UserError):
    """A structure that cannot be found, fetched or read."""


class FormatError(UserError):
    """A file that is not what it should be: wrong format, truncated, or with impossible values."""


class SamplingError(UserError):
    """A grid or a detector too coarse, or too small, for what is asked of it."""


class DivergedError(UserError):
    """A calculation that has run away: what came out is not finite, or no rotation."""


class DeviceError(UserError):
    """A compute device that is not there."""


class DiskError(UserError):
    """A file that cannot be written: the disk is full, or the directory is forbidden."""


# What h5py, NumPy, gemmi, mrcfile, PyTorch and the standard library raise for bytes that they
# cannot make sense of. RuntimeError includes RecursionError, ValueError all decoding errors.
_OF_LIBRARIES = (
    OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError,
    ArithmeticError, MemoryError, zlib.error, struct.error, zipfile.BadZipFile, pickle.PickleError,
    SyntaxError, tokenize.TokenError,  # of NumPy, for the header of a .npy file
    AssertionError,  # of torch, for its archives
)  # fmt: skip
_DAMAGED = "it may be truncated or damaged"
_LONGEST = 300

Function = TypeVar("Function", bound=Callable[..., Any])


@contextmanager
def reading(
    path: Path | str, what: str, advice: str = _DAMAGED, error: type[UserError] = FormatError
) -> Iterator[None]:
    """Turn what a library raises on bad input into one ``error`` about ``path``.

    ``what`` the file was read as, such as ``"MRC map"``; ``advice``: what may be the matter, or to
    do. Put it around the reading alone, so that mistakes of ours elsewhere are not taken for a
    damaged file. The library's error stays its cause, and ``--debug`` shows it. Our own errors pass
    as they are.
    """
    try:
        yield
    except UserError:
        raise
    except _OF_LIBRARIES as found:
        if isinstance(found, FileNotFoundError | PermissionError | IsADirectoryError):
            where, why = found.filename or path, os.strerror(found.errno or 0)
            raise error(f"{where}: {why}; expected a {what}") from found
        raise error(f"{path} is not a readable {what} ({_short(found)}); {advice}") from found


def reads(
    what: str, advice: str = _DAMAGED, error: type[UserError] = FormatError
) -> Callable[[Function], Function]:
    """Return :func:`reading` as a decorator of a function whose first argument is the path."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def read(path: Path | str, *args: Any, **kwargs: Any) -> Any:
            with reading(path, what, advice, error):
                return function(path, *args, **kwargs)

        return read  # type: ignore[return-value]

    return decorate


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return what to say of a name that is none of those ``known``: the nearest one, or all."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(names)}"


def _short(error: BaseException) -> str:
    """Return what a library says, on one line of bounded length."""
    if isinstance(error, MemoryError):
        return "it declares more than fits into memory"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
        text = text if " " in text else f"nothing is called {text!r}"
    else:
        text = str(error)
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
