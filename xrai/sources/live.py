"""What the stream asks of a source, whether all of its patterns are there yet or not."""

from pathlib import Path
from typing import Any, Protocol

from xraisim.core.admission import admit_photons, admit_pixels
from xraisim.core.types import PatternSource, Photons, Pixels


class LiveSource(Protocol):
    """A :class:`PatternSource` that may still grow.

    ``n_patterns``: numbers below it have come, or been passed over. ``begins``: the number of its
    first pattern. ``ended``: no more will come; ``warning`` then says why if that was not the
    regular end, else it is empty. ``rereadable``: whether any pattern can be read again and again;
    else only until it is forgotten.
    """

    path: Path
    n_patterns: int
    pixels: Pixels
    info: dict[str, Any]
    begins: int
    ended: bool
    warning: str
    rereadable: bool

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` as numbers into ``pixels``."""

    def wait(self, count: int, timeout_s: float) -> None:
        """Return once there are ``count`` patterns, none will come, or the time is over."""

    def forget(self, before: int) -> None:
        """Let go of patterns with smaller numbers; they will not be read again."""

    def close(self) -> None:
        """Give back what is held open."""


class Complete:
    """A source all of whose patterns are there, as a :class:`LiveSource`.

    Anybody may have made it, so what it gives is looked at: raises :class:`FormatError`.
    """

    begins, ended, warning, rereadable = 0, True, "", True

    def __init__(self, source: PatternSource) -> None:
        self.path, self.pixels, self.info = source.path, source.pixels, source.info
        self.n_patterns, self.close = source.n_patterns, source.close
        self._source = source
        admit_pixels(source.pixels, source.path)

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` as numbers into ``pixels``."""
        read = self._source.read(start, stop)
        return admit_photons(read.offsets, read.pixel, read.count, len(self.pixels), self.path)

    def wait(self, count: int, timeout_s: float) -> None:
        """Return at once."""

    def forget(self, before: int) -> None:
        """Do nothing: the source holds no patterns in memory."""


def cut(photons: Photons, start: int, stop: int) -> Photons:
    """Return rows ``start … stop − 1`` of a block; the entries are a view."""
    if (start, stop) == (0, len(photons)):
        return photons
    offsets = photons.offsets[start : stop + 1]
    entries = slice(offsets[0], offsets[-1])
    return Photons(
        offsets=offsets - offsets[0], pixel=photons.pixel[entries], count=photons.count[entries]
    )
