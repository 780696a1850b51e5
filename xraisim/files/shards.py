"""Shards: a data set made in n parts, by n processes that know nothing of each other.

Part k of n of ``patterns.h5`` is ``patterns.shard-k-of-n.h5``, k from 1. Readers take the name of
the whole and find the parts.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from xraisim.core.errors import ConfigError, FormatError
from xraisim.core.slurm import place
from xraisim.files.atomic import partial_path

_NAME = re.compile(r"\.shard-(\d+)-of-(\d+)$")


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (from 1) of ``total``; raises :class:`ConfigError` if there is none."""

    index: int = 1
    total: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.total:
            raise ConfigError(
                f"shard {self.index}/{self.total} does not exist; they go from 1/{self.total} to "
                f"{self.total}/{self.total}"
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``"k/n"``."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None:
            raise ConfigError(f"found the shard {text!r}; expected k/n with k from 1 to n, as 3/8")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of_process(cls, variables: Mapping[str, str]) -> "Shard":
        """Return that of this process among those that torchrun or srun started."""
        number, count = place(variables)
        return cls(number + 1, count)

    def patterns(self, count: int) -> range:
        """Return the numbers of its patterns of the ``count`` of the data set."""
        return range(
            count * (self.index - 1) // self.total,
            count * self.index // self.total,
        )

    def path(self, whole: Path) -> Path:
        """Return the name of its file; the whole's if it is all there is."""
        if self.total == 1:
            return whole
        return whole.with_name(f"{whole.stem}.shard-{self.index}-of-{self.total}{whole.suffix}")


def files_of(path: Path, suffix: str = "") -> list[Path]:
    """Return ``path`` itself if it is there, else its shards in order, else nothing.

    ``suffix`` comes between stem and extension, as in ``patterns.shard-1-of-2.truth.h5``.
    Raises :class:`FormatError` if shards are missing, or there are several sets of them.
    """
    if path.exists():
        return [path]
    found = _shards(path, suffix)
    if not found:
        return []
    total = _only(path, found)
    shards = found[total]
    missing = [str(k) for k in range(1, total + 1) if k not in shards]
    if missing:
        raise FormatError(
            f"{path}: shard {', '.join(missing)} of {total} missing; make it with --shard "
            f"{missing[0]}/{total}"
        )
    return [shards[k] for k in range(1, total + 1)]


def names_of(path: Path) -> list[Path]:
    """Return the final names of a data set of which some is there, or is being written.

    ``path`` itself or all its shards in order; nothing if none has been begun. Raises
    :class:`FormatError` if there are several sets of shards.
    """
    if path.exists() or partial_path(path).exists():
        return [path]
    endings = (path.suffix, partial_path(Path(path.suffix)).name)
    totals = {total for ending in endings for total in _shards(path, ending=ending)}
    if not totals:
        return []
    total = _only(path, totals)
    return [Shard(k, total).path(path) for k in range(1, total + 1)]


def _shards(path: Path, suffix: str = "", ending: str = "") -> dict[int, dict[int, Path]]:
    """Return the shards that are there by their total and number; ``ending`` as of the path."""
    ending = ending or path.suffix
    stem = path.stem.removesuffix(suffix)
    found: dict[int, dict[int, Path]] = {}
    for candidate in path.parent.glob(f"{_escaped(stem)}.shard-*-of-*{suffix}{ending}"):
        name = candidate.name.removesuffix(ending).removesuffix(suffix)
        match = _NAME.search(name)
        if match and name[: match.start()] == stem:
            found.setdefault(int(match[2]), {})[int(match[1])] = candidate
    return found


def _only(path: Path, totals: Collection[int]) -> int:
    if len(totals) > 1:
        sets = " and ".join(f"of {total}" for total in sorted(totals))
        raise FormatError(f"{path} has shards {sets}; keep one set and remove the others")
    (total,) = totals
    return total


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)
