"""How a stream was opened, so that a resumed run opens it alike."""

from pathlib import Path

from xrai.sources.config import SourceConfig
from xrai.sources.follow import FollowedFiles
from xrai.sources.live import LiveSource
from xrai.sources.pushed import PushedPatterns, listen
from xraisim.core.errors import UserError
from xraisim.core.types import PatternSource
from xraisim.files.shards import names_of

_TCP = "tcp://"


def name_of(patterns: Path | str | PatternSource | LiveSource) -> str:
    """Return a name by which a later process finds the patterns again."""
    if isinstance(patterns, PushedPatterns):
        return f"{_TCP}{patterns.path}"
    path = Path(patterns) if isinstance(patterns, str | Path) else patterns.path
    return str(path.resolve())


def path_of(name: str) -> Path:
    """Return the file of a name; raises :class:`UserError` if the patterns were pushed."""
    if name.startswith(_TCP):
        raise UserError(f"the patterns were pushed to {name} and are in no file; give a file")
    return Path(name)


def reopen(
    name: str, config: SourceConfig, *, first: int = 0, token: bytes | None = None
) -> Path | LiveSource:
    """Return the patterns of a name; a pusher is awaited and has to begin with number ``first``.

    A file that is not whole yet is followed, as it was before.
    """
    if name.startswith(_TCP):
        return listen(name, config, first=first, token=token)
    path = Path(name)
    growing = not all(file.exists() for file in names_of(path))
    return FollowedFiles(path, config) if growing else path
