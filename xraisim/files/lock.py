"""One writer at a time."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from xraisim.core.errors import UserError
from xraisim.files.atomic import disk_errors

_ALONE, _AMONG, _NOW = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_NB
_UNKNOWN = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # file systems without locks


@contextmanager
def only_writer(path: Path | str, *, wanted: bool = True, shared: bool = False) -> Iterator[None]:
    """Keep other processes from writing ``path``, a file or a directory that is there, meanwhile.

    The lock is the system's on ``.lock`` in the directory, or ``<name>.lock`` beside the file; it
    goes with the process that holds it, however that ends. Only processes on the same machine, or
    on a file system that shares locks, see each other. Not ``wanted``: does nothing. ``shared``:
    only those are kept out that are not.
    Raises :class:`UserError` if another one writes already.
    """
    if not wanted:
        yield
        return
    path = Path(path)
    name = path / ".lock" if path.is_dir() else path.with_name(path.name + ".lock")
    with disk_errors(name):
        name.parent.mkdir(parents=True, exist_ok=True)
        file = _opened(name, path, (_AMONG if shared else _ALONE) | _NOW)
    with _held(name, file):
        yield


@contextmanager
def in_turn(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Be alone with ``path`` inside; wait for who is there already, after calling ``waiting``.

    As :func:`only_writer`, with ``<name>.lock`` beside it, be it a directory or not.
    """
    name = path.with_name(path.name + ".lock")
    with disk_errors(name):
        name.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = _opened(name, path, _ALONE | _NOW)
        except UserError:
            waiting()
            file = _opened(name, path, _ALONE)
    with _held(name, file):
        yield


@contextmanager
def new_directory(path: Path, *, wanted: bool = True, shared: bool = False) -> Iterator[None]:
    """Make a directory for results, unless it is there, and be its :func:`only_writer`.

    One that was made here and is empty in the end, as after bad input, is removed again.
    """
    made = wanted and not path.exists()
    if wanted:
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
    try:
        with only_writer(path, wanted=wanted, shared=shared):
            yield
    finally:
        if made:
            with suppress(OSError):  # it holds results
                path.rmdir()


@contextmanager
def _held(name: Path, file: IO[str]) -> Iterator[None]:
    """Let go of a lock in the end, and remove its file unless others hold it too."""
    try:
        yield
    finally:
        with file, suppress(BlockingIOError):
            _lock(file, _ALONE | _NOW)
            name.unlink(missing_ok=True)  # while it is locked: nobody else's is removed


def _opened(name: Path, path: Path, how: int) -> IO[str]:
    """Return the lock file, locked; it says who holds it."""
    while True:
        file = name.open("a+", encoding="utf-8")
        try:
            if not _lock(file, how):
                return file
        except BlockingIOError:
            raise UserError(_refused(file, path)) from None
        if _is_still(name, file):
            file.truncate(0)
            file.write(f"{os.getpid()} on {os.uname().nodename}")
            file.flush()
            return file
        file.close()  # its holder removed it in between


def _lock(file: IO[str], how: int) -> bool:
    """Lock a file, and return True; False where the file system has no locks."""
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        return False
    return True


def _is_still(name: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), name.stat())
    except FileNotFoundError:
        return False


def _refused(file: IO[str], path: Path) -> str:
    with file:
        file.seek(0)
        holder = file.read(200).strip()
    by = f"process {holder}" if holder else "another process"
    return f"{by} is writing {path}; wait until it has ended, or write elsewhere (--out)"
