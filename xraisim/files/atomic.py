"""Files that appear whole or not at all: written under ``.partial`` and renamed at the end."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xraisim.core.errors import DiskError

_PARTIAL = ".partial"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SPARE_BYTES = 2**24  # what HDF5 may still hold in its caches, several times over


def partial_path(path: Path) -> Path:
    """Return the name under which ``path`` is written until it is complete."""
    return path.with_name(path.name + _PARTIAL)


def is_partial(path: Path) -> bool:
    """Whether a file still has such a name."""
    return path.name.endswith(_PARTIAL)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; rename it to ``path`` if all went well, else remove it."""
    partial = partial_path(path)
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def require_space(path: Path, size: int) -> None:
    """Raise the system's "no space left" unless ``size`` bytes, and some to spare, are free.

    HDF5 cannot be closed after a write that the disk refused, and may take the process down with
    it; so the space is asked for before HDF5 is.
    """
    if shutil.disk_usage(path.parent).free < size + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden directory into one :class:`DiskError` about ``path``."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # HDF5 reports a failed close as a RuntimeError
        if _is_full(error):
            raise DiskError(
                f"no space left on the disk while writing {path}. Free some space, or write "
                "elsewhere (--out)"
            ) from error
        if isinstance(error, RuntimeError):
            raise
        raise DiskError(f"cannot write {path}: {error}") from error


def _is_full(error: BaseException | None) -> bool:
    """Whether the error, or what led to it, is a full disk, a quota or a limit on file sizes."""
    while error is not None:
        # HDF5 wraps the system's error in a message of its own and may lose the number.
        if getattr(error, "errno", None) in _FULL or "No space left" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
