"""What a pattern file keeps of how it was made, without giving the truth away.

The recipe and its seed, from which orientations could be drawn again, lie in the truth file alone.
The pattern file keeps a commitment: a hash over them and a random salt that lies in the truth file,
so that what was made can be told apart and proved later, and not be guessed.

Until the truth file is whole the salt lies beside it, in ``<stem>.truth.salt``, where a run that is
resumed finds it, and the shards of one set, which share it.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xraisim.core.errors import ConfigError
from xraisim.core.json_text import to_json
from xraisim.files.atomic import disk_errors
from xraisim.files.resume import leftovers
from xraisim.files.shards import Shard
from xraisim.files.truth import Truth, salt_of, truth_path

_BYTES = 16
_RECIPE = ("seed", "draw_version", "species", "structures_sha256", "config")


def commitment(recipe: Mapping[str, Any], salt: str) -> str:
    """Return the hash (SHA-256, hexadecimal) over what determines the photons, and the salt.

    ``draw_version`` is left out where it is 1: sets made before it was stated go on.
    """
    told = {name: value for name, value in recipe.items() if (name, value) != ("draw_version", 1)}
    return hashlib.sha256(to_json({**told, "salt": salt}, sort_keys=True).encode()).hexdigest()


def commitment_of(truth: Truth) -> str:
    """Return the commitment that the pattern file of a truth has, if it is the truth."""
    return commitment({name: getattr(truth, name) for name in _RECIPE}, truth.salt)


def salt_path(whole: Path) -> Path:
    """Return where the salt of a data set lies until its truth file is whole."""
    return truth_path(whole).with_suffix(".salt")


@contextmanager
def salted(whole: Path, shard: Shard, *, resume: bool) -> Iterator[str]:
    """Give the salt of a data set, a new one unless it is resumed or has other shards.

    When the context ends it is in the truth file, and its own file goes, unless other shards may
    need it, or something is left to be resumed. Raises :class:`ConfigError` where patterns are left
    without their salt.
    """
    path, out = salt_path(whole), shard.path(whole)
    found = _known(whole, shard) if resume or shard.total > 1 else ""
    if not found:
        if left := (f"{out} is there" if resume and out.exists() else leftovers(out)):
            raise ConfigError(
                f"{left}, but neither its truth file nor {path}, without which nobody can go on; "
                "remove it, or write elsewhere (--out)"
            )
        if shard.total == 1:
            path.unlink(missing_ok=True)  # of a run that had written nothing
        found = _drawn(path)
    try:
        yield found
    finally:
        if shard.total == 1 and not leftovers(out):
            path.unlink(missing_ok=True)


def _known(whole: Path, shard: Shard) -> str:
    """Return the salt kept beside a data set that is not whole, or that of a truth file of it."""
    path = salt_path(whole)
    if path.exists():
        return path.read_text(encoding="ascii").strip()
    parts = (Shard(k, shard.total).path(whole) for k in range(1, shard.total + 1))
    found = (salt_of(truth) for truth in map(truth_path, parts) if truth.exists())
    return next(filter(None, found), "")


def _drawn(path: Path) -> str:
    """Write a new salt unless another process is first; return what is there then."""
    own = path.with_name(f"{path.name}.{os.getpid()}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(secrets.token_hex(_BYTES), encoding="ascii")
        try:
            os.link(own, path)  # whole, or not at all
        except FileExistsError:
            pass
        finally:
            own.unlink()
        return path.read_text(encoding="ascii").strip()
