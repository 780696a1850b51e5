"""Reading from streams no more than they hold, whatever a header declares."""

from typing import Protocol

_BLOCK = 2**20


class Stream(Protocol):
    """What can be read from: a file, a member of an archive, a packed file."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""


def read_at_most(stream: Stream, size: int) -> bytearray:
    """Return the next ``size`` bytes, fewer where the stream ends.

    Asked for all of them at once, a stream takes memory for all of them.
    """
    out = bytearray()
    while block := stream.read(min(_BLOCK, size - len(out))):
        out += block
    return out
