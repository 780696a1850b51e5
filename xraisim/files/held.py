"""What an HDF5 dataset declares against what its file holds: looked at before memory is asked for.

A header of some bytes can declare a dataset of any size: what was never written reads as the fill
value, and memory is taken for all of it.
"""

import h5py
import numpy as np

from xraisim.core.errors import FormatError

_ALWAYS_BYTES = 2**28  # so much may be declared whatever the file holds
_DEFLATE = 1100  # deflate packs zeros 1,032 to 1
_PACKED = 2**15  # a dark frame, by the best of the other filters


def require_held(dataset: h5py.Dataset) -> None:
    """Raise :class:`FormatError` if a dataset declares much more than its file can hold."""
    if not isinstance(dataset, h5py.Dataset):
        raise FormatError(f"found the group {dataset.name}; expected an array")
    if dataset.is_virtual or dataset.external or dataset.shape is None:
        return
    chunk = int(np.prod(dataset.chunks or (1,), dtype=float))
    declared = max(dataset.size, chunk) * dataset.dtype.itemsize
    held = dataset.id.get_storage_size()
    if declared > max(_ALWAYS_BYTES, held * _most_packed(dataset)):
        raise FormatError(
            f"{dataset.file.filename}: {dataset.name} declares {_counted(dataset)}, "
            f"{declared:,} bytes; the file holds {held:,} bytes of it"
        )


def read_whole(dataset: h5py.Dataset) -> np.ndarray:
    """Return all values of a dataset that its file can hold (:func:`require_readable`)."""
    require_readable(dataset)
    return np.asarray(dataset[()])


def require_readable(dataset: h5py.Dataset) -> None:
    """Raise as :func:`require_held`, and for more than 256 MiB that lie in other files.

    Nothing here is written so.
    """
    require_held(dataset)
    elsewhere = dataset.is_virtual or dataset.external
    if elsewhere and dataset.shape and dataset.size * dataset.dtype.itemsize > _ALWAYS_BYTES:
        raise FormatError(
            f"{dataset.file.filename}: {dataset.name} declares {_counted(dataset)} in other files"
        )


def _most_packed(dataset: h5py.Dataset) -> int:
    """Return how many bytes at most the filters of a dataset make of one that is stored."""
    names = {code for code, *_ in _filters(dataset)}
    own = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
    if not names - {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}:
        return 1
    return _DEFLATE if names <= own else _PACKED


def _filters(dataset: h5py.Dataset) -> list[tuple[int, tuple[int, ...]]]:
    plist = dataset.id.get_create_plist()
    return [plist.get_filter(number) for number in range(plist.get_nfilters())]


def _counted(dataset: h5py.Dataset) -> str:
    return " × ".join(f"{length:,}" for length in dataset.shape) + " values"
