"""One writer at a time."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from xraisim.core.errors import UserError
from xraisim.files.atomic import disk_errors

_UNKNOWN = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # file systems without locks


@contextmanager
def only_writer(path: Path | str, *, wanted: bool = True) -> Iterator[None]:
    """Keep other processes from writing ``path``, a file or a directory that is there, meanwhile.

    The lock is the system's on ``.lock`` in the directory, or ``<name>.lock`` beside the file; it
    goes with the process that holds it, however that ends. Only processes on the same machine, or
    on a file system that shares locks, see each other. Not ``wanted``: does nothing.
    Raises :class:`UserError` if another one writes already.
    """
    if not wanted:
        yield
        return
    path = Path(path)
    name = path / ".lock" if path.is_dir() else path.with_name(path.name + ".lock")
    with disk_errors(name):
        name.parent.mkdir(parents=True, exist_ok=True)
        file = _opened(name, path)
    try:
        yield
    finally:
        name.unlink(missing_ok=True)  # while it is locked: nobody else's is removed
        file.close()


@contextmanager
def new_directory(path: Path, *, wanted: bool = True) -> Iterator[None]:
    """Make a directory for results, unless it is there, and be its :func:`only_writer`.

    One that was made here and is empty in the end, as after bad input, is removed again.
    """
    made = wanted and not path.exists()
    if wanted:
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
    try:
        with only_writer(path, wanted=wanted):
            yield
    finally:
        if made:
            with suppress(OSError):  # it holds results
                path.rmdir()


def _opened(name: Path, path: Path) -> IO[str]:
    """Return the lock file, locked; it says who holds it."""
    while True:
        file = name.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(_refused(file, path)) from None
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
            return file
        if _is_still(name, file):
            file.truncate(0)
            file.write(f"{os.getpid()} on {os.uname().nodename}")
            file.flush()
            return file
        file.close()  # its holder removed it in between


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
