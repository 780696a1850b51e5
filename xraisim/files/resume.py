"""Going on where an interrupted run stopped.

What a killed run leaves, ``<name>.partial``, is set aside as ``<name>.interrupted`` and copied into
a fresh file, chunk by chunk the same as it was, and drawing goes on from there. It is removed when
the new file is whole, so that a run may be killed at any moment, again and again.
"""

from pathlib import Path
from typing import Any

from xraisim.core.errors import ConfigError, FormatError
from xraisim.files.atomic import partial_path
from xraisim.files.patterns import PatternReader, PatternWriter

_BLOCK = 2**13
# What a commitment is over, in words.
_NAMED = {"commitment": "settings, another seed, other structures or another draw"}


def interrupted_path(path: Path) -> Path:
    """Return where what a killed run left of ``path`` is kept while it is copied."""
    return path.with_name(f"{path.name}.interrupted.partial")


def leftovers(path: Path) -> str:
    """Return in words what an interrupted run left of ``path``; empty if there is nothing."""
    for left in (partial_path(path), interrupted_path(path)):
        if count := _patterns(left):
            return f"{left} holds {count:,} patterns"
    return ""


def refuse_leftovers(path: Path) -> None:
    """Raise :class:`ConfigError` if an interrupted run left patterns that would be lost."""
    if left := leftovers(path):
        raise ConfigError(
            f"{left} of a run that was interrupted, or still goes on; continue it with --resume, "
            "or remove the file"
        )


def recover(path: Path) -> Path | None:
    """Set aside the patterns that an interrupted run left of ``path``; return where, if any."""
    partial, kept = partial_path(path), interrupted_path(path)
    if _patterns(partial) > _patterns(kept):
        partial.replace(kept)
    return kept if _patterns(kept) else None


def copy_patterns(source: Path, writer: PatternWriter, provenance: dict[str, Any]) -> int:
    """Append the patterns of ``source``; return how many.

    Raises :class:`ConfigError` unless they were made with the same settings and versions.
    """
    with PatternReader(source) as reader:
        check_same(source, reader.info["provenance"], provenance)
        for start in range(0, reader.n_patterns, _BLOCK):
            writer.append(reader.read_raw(start, min(start + _BLOCK, reader.n_patterns)))
        return reader.n_patterns


def check_same(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise :class:`ConfigError` if two provenances differ."""
    differing = [_NAMED.get(key, key) for key in expected if found.get(key) != expected[key]]
    if differing:
        raise ConfigError(
            f"{path} was made with other {', '.join(differing)}; resume it with the settings and "
            "versions that it was begun with, or write elsewhere (--out)"
        )


def _patterns(path: Path) -> int:
    """Return how many patterns a file holds that may have been written halfway."""
    if not path.exists():
        return 0
    try:
        with PatternReader(path) as reader:
            return reader.n_patterns
    except FormatError:  # killed before the first chunk
        return 0
