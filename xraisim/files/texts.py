"""Texts in HDF5 files, of a fixed length: written by everything here, and read like any other.

HDF5 keeps texts of variable length apart, in a global heap without a checksum, and loops for ever
on some damage to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np


def fixed(text: str | Sequence[str]) -> np.ndarray:
    """Return a text, or a list of them, as HDF5 stores it in a fixed length: UTF-8."""
    data = text.encode() if isinstance(text, str) else [one.encode() for one in text]
    longest = len(data) if isinstance(data, bytes) else max(map(len, data), default=0)
    return np.array(data, h5py.string_dtype("utf-8", max(longest, 1)))


def describe(item: h5py.Group | h5py.Dataset, attributes: Mapping[str, Any]) -> None:
    """Attach attributes to what is in a file.

    In a file of ``libver`` 1.8 or later a text may be of any length, else up to 64 kB.
    """
    for name, value in attributes.items():
        item.attrs[name] = fixed(value) if _is_text(value) else value


def attribute(item: h5py.Group | h5py.Dataset, name: str, default: Any = None) -> Any:
    """Return an attribute, its texts as ``str`` whatever they are stored as."""
    return plain(item.attrs.get(name, default))


def attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """Return all attributes as :func:`attribute` does."""
    return {name: plain(value) for name, value in item.attrs.items()}


def plain(value: Any) -> Any:
    """Return a value read from HDF5 with its texts as ``str``; what is no UTF-8 becomes ``�``."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        return [plain(one) for one in value.tolist()]
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(one, str) for one in value)
    )
