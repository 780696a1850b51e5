"""Global heaps of HDF5 files, walked before HDF5 does: it walks for ever where steps are zero.

HDF5 File Format Specification 3.0, III.E. Heaps lie wherever the file had room, so that they are
looked for by their signature; that reads the file once.
"""

import mmap
import struct
from pathlib import Path

from xraisim.core.errors import FormatError

_SIGNATURE = b"GCOL\x01"
_HEADER, _OBJECT = 16, 16  # bytes before the first object, and before an object's data
_SMALLEST = 4096


def require_sound_heaps(path: Path) -> None:
    """Raise :class:`FormatError` if objects of a global heap do not fit into it, end to end."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_SIGNATURE)
        while at >= 0:
            _require_sound(path, content, at)
            at = content.find(_SIGNATURE, at + _SMALLEST)


def _require_sound(path: Path, content: mmap.mmap, start: int) -> None:
    if start + _HEADER > len(content):
        return
    (size,) = struct.unpack_from("<Q", content, start + 8)
    stop = start + size
    if size < _SMALLEST or stop > len(content):
        return  # which HDF5 refuses by itself
    at = start + _HEADER
    while at + _OBJECT <= stop:
        index, length = struct.unpack_from("<H6xQ", content, at)
        # What is free counts its own header, an object does not, and ends on a multiple of 8.
        step = length if index == 0 else _OBJECT + (length + 7) // 8 * 8
        if step < _OBJECT or at + step > stop:
            raise FormatError(
                f"{path}: an object of {length:,} bytes at byte {at:,} does not fit into its heap "
                f"of {size:,} bytes; the file is truncated or damaged"
            )
        at += step
