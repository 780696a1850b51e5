"""Pattern files that are still being written: read as they grow.

A file is written as ``<name>.partial`` and gets its name when it is whole; a run that was killed
and resumed writes the same patterns into a new ``.partial`` and goes on from there. Shards are
taken in their order, each when the one before is whole, so that patterns have the numbers that
they have in the finished data set.
"""

import time
from pathlib import Path
from typing import Any

from xrai.sources.config import SourceConfig
from xraisim.core.errors import FormatError
from xraisim.core.types import Photons, Pixels
from xraisim.files.atomic import partial_path
from xraisim.files.pattern_file import PatternFile, is_marked_open
from xraisim.files.patterns import read_across
from xraisim.files.shards import names_of


class FollowedFiles:
    """A pattern file, or all shards of one, of which some are not written or begun yet.

    ``path``: the name that the file will have, or that its shards have in common. Ends when every
    file has its final name; or, with a ``warning``, after ``idle_timeout_s`` without growth.
    """

    begins, rereadable = 0, True

    def __init__(self, path: Path | str, config: SourceConfig) -> None:
        """Wait for the first file's detector; raises :class:`FormatError` if none comes."""
        self.path, self._config = Path(path), config
        self._names: list[Path] = []
        self._parts: list[PatternFile] = []
        self._idle_s, self._copied = 0.0, 0
        self.n_patterns, self.ended, self.warning = 0, False, ""
        try:
            while not (self._parts or self.ended):
                self._step()
        except BaseException:
            self.close()
            raise
        if not self._parts:
            raise FormatError(
                f"{self.path}: no such file, nor {partial_path(self.path).name}, after "
                f"{config.idle_timeout_s:g} s; start xrai-sim make, or wait longer "
                "(idle_timeout_s)"
            )
        self.pixels: Pixels = self._parts[0].order.pixels
        self.info: dict[str, Any] = self._parts[0].info

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` as numbers into ``pixels``."""
        return self._parts[0].order.ranked(read_across(self._parts, start, stop))

    def wait(self, count: int, timeout_s: float) -> None:
        """Return once there are ``count`` patterns, none will come, or the time is over."""
        until = time.monotonic() + timeout_s
        while self.n_patterns < count and not self.ended:
            self._step()
            if time.monotonic() >= until:
                return

    def forget(self, before: int) -> None:
        """Do nothing: the files hold the patterns."""

    def close(self) -> None:
        """Close the files."""
        for part in self._parts:
            part.close()

    def _step(self) -> None:
        """Look at the files; if nothing is new, sleep a little, and after too long give up."""
        if self._look():
            self._idle_s = 0.0
        elif not self.ended:
            time.sleep(self._config.poll_s)
            self._idle_s += self._config.poll_s
            if self._idle_s >= self._config.idle_timeout_s:
                self.ended, self.warning = True, self._why()

    def _look(self) -> bool:
        """Open what has come and refresh what grows; return whether anything has changed."""
        self._names = self._names or names_of(self.path)
        if not self._parts or not self._parts[-1].growing:
            if self._parts and len(self._parts) == len(self._names):
                self.ended = True
                return False
            changed = self._open_next()
        else:
            changed = self._refresh_last()
        self.n_patterns = sum(part.n_patterns for part in self._parts)
        return changed

    def _open_next(self) -> bool:
        if len(self._parts) >= len(self._names):
            return False
        part = _begun(self._names[len(self._parts)])
        if part is not None:
            self._parts.append(part)
            self._check_last(self._parts[0])
        return part is not None

    def _refresh_last(self) -> bool:
        """Refresh the file that grows, or put the whole or the resumed one in its place."""
        last, name = self._parts[-1], self._names[len(self._parts) - 1]
        before = last.n_patterns
        if name.exists():
            last.close()  # HDF5 does not open one file in two ways at a time
            self._parts[-1] = PatternFile(name)
            self._check_last(last)
            return True
        if _inode(partial_path(name)) not in (None, last.inode):
            return self._take_resumed(name)
        last.refresh()
        return last.n_patterns > before

    def _take_resumed(self, name: Path) -> bool:
        """Take the file of a resumed run once it holds what is known; return whether it grows."""
        known, resumed = self._parts[-1], _begun(name)
        if resumed is None:
            return False
        if resumed.n_patterns < known.n_patterns:
            resumed.close()
            grows, self._copied = resumed.n_patterns > self._copied, resumed.n_patterns
            return grows
        known.close()
        self._parts[-1] = resumed
        self._check_last(known)
        return True

    def _check_last(self, other: PatternFile) -> None:
        """Check that the last file goes on with the experiment, and with the patterns, known."""
        last = self._parts[-1]
        if not last.same_experiment(other):
            raise FormatError(
                f"{last.path} is not of the same experiment as {other.path}: their detectors, "
                "beams or configurations differ; follow one data set at a time"
            )
        if sum(part.n_patterns for part in self._parts) < self.n_patterns:
            raise FormatError(
                f"{last.path} holds {last.n_patterns:,} patterns, fewer than were read already; it "
                "was replaced by another file: train again"
            )

    def _why(self) -> str:
        """Say what is known of a data set that does not grow any more and is not whole."""
        idle = f"no new patterns for {self._config.idle_timeout_s:g} s"
        if not (self._parts and self._parts[-1].growing):
            awaited = self._names[len(self._parts)] if self._names else self.path
            return f"{idle}: {awaited} was not begun"
        partial = partial_path(self._names[len(self._parts) - 1])
        if not partial.exists():
            return f"{idle}: {partial} was removed by a writer that failed"
        if is_marked_open(partial):
            return f"{idle}: the writer of {partial} was killed, or stalls"
        return f"{idle}: the writer of {partial} was interrupted, and can go on with --resume"


def _begun(name: Path) -> PatternFile | None:
    """Open a file, whole or not; None if it is not there or its header is not written yet."""
    if name.exists():
        return PatternFile(name)
    partial = partial_path(name)
    if not partial.exists():
        return None
    try:
        return PatternFile(partial)
    except (FormatError, OSError, RuntimeError):  # HDF5 has errors of its own for half a header
        return None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
