"""Files that appear whole or not at all: written under ``.partial`` and renamed at the end."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xraisim.core.errors import UserError


def partial_path(path: Path) -> Path:
    """Return the name under which ``path`` is written until it is complete."""
    return path.with_name(path.name + ".partial")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden directory into one clear :class:`UserError` about ``path``."""
    try:
        yield
    except OSError as error:
        if isinstance(error, UserError):
            raise
        # HDF5 wraps the system's error in a message of its own and may lose the number.
        if error.errno == errno.ENOSPC or "No space left" in str(error):
            raise UserError(
                f"no space left on the disk while writing {path}; nothing was kept. Free some "
                "space, write elsewhere (--out), or make fewer patterns"
            ) from error
        raise UserError(f"cannot write {path}: {error}") from error
