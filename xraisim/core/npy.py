"""NumPy's ``.npy`` format, read with no more memory than the file holds.

NumPy itself takes memory for what a header declares, and for a header of up to 4 GiB.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xraisim.core.streams import Stream, read_at_most

_LONGEST_HEADER = 2**16


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of its array; ``fortran``: the first index runs fastest."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool


def read_header(stream: Stream) -> Header:
    """Read a header; raises :class:`ValueError` if it is none of a plain array."""
    limited = _Limited(stream)
    version = np.lib.format.read_magic(limited)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format; expected 1.0 or 2.0")
    first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(limited)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    return Header(shape=shape, dtype=dtype, fortran=fortran)


def read_data(stream: Stream, header: Header) -> np.ndarray:
    """Read the array behind a header, to the end; raises :class:`ValueError` if it is not there."""
    count = math.prod(header.shape)
    expected = count * header.dtype.itemsize
    content = read_at_most(stream, expected + 1)
    if len(content) != expected:
        found = f"{len(content):,}" if len(content) < expected else "more"
        raise ValueError(f"{expected:,} bytes of data are declared, {found} are there")
    array = np.frombuffer(content, header.dtype, count)
    return array.reshape(header.shape, order="F" if header.fortran else "C")


def load(path: Path) -> np.ndarray:
    """Read a ``.npy`` file; raises :class:`ValueError` or :class:`OSError`."""
    with open(path, "rb") as stream:
        return read_data(stream, read_header(stream))


class _Limited:
    """A stream that does not give more at once than a header has."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise ValueError(f"a header of {size:,} bytes")
        return self._stream.read(size)
