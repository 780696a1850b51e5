"""HDF5 as it may come: links that lead nowhere, virtual data sets whose sources are not there.

HDF5 gives the fill value, mostly 0, where a virtual data set has no source: that is no measurement.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Int64

from xraisim.core.errors import FormatError
from xraisim.files.held import require_held
from xraisim.formats.base import Wanted

_DEEPEST = 8  # virtual data sets of virtual data sets; more is a circle
_MOST_DECLARED = 2**28  # values that no bytes stand behind; a flag is kept for each
_UNLIMITED = h5py.h5s.UNLIMITED % 2**64  # as selections have it

Region = tuple[tuple[int, ...], ...]  # (start, stride, count, block) along each axis


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """What a data set does not hold: ``files``, sources that are not there; ``pixels`` of a
    pattern without a source in any of the patterns.
    """

    files: tuple[str, ...]
    pixels: Bool[np.ndarray, "P"]


def member(file: h5py.Group, name: str) -> Any:
    """Return the data set or group of a name, or None if there is none.

    Raises :class:`FormatError` for a link to what is not there, and for a data set that its file
    cannot hold.
    """
    item: Any = file
    for part in name.strip("/").split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if link is None:
            return None
        try:
            item = item[part]
        except (KeyError, OSError) as error:
            target = getattr(link, "path", part)
            if isinstance(link, h5py.ExternalLink):
                target = f"{target} in the file {link.filename}"
            raise FormatError(
                f"{item.file.filename}: {item.name.rstrip('/')}/{part} is a link to {target}, "
                "which is not there; put it back, or take the link out"
            ) from error
    if isinstance(item, h5py.Dataset):
        require_held(item)
    return item


def whole(dataset: h5py.Dataset) -> np.ndarray:
    """Return all values; raises :class:`FormatError` if a virtual data set lacks sources."""
    missing = gaps(dataset, dataset.shape)
    if missing.files or missing.pixels.any():
        raise FormatError(f"{where(dataset)}: {describe(missing)}")
    return np.asarray(dataset[()])


def where(dataset: h5py.Dataset) -> str:
    """Return file and name, for a message."""
    return f"{dataset.file.filename}: {dataset.name}"


def describe(missing: Gaps) -> str:
    """Return in words what is missing."""
    pixels = f"{int(missing.pixels.sum())} pixels without a source, whose values are no measurement"
    if not missing.files:
        return f"a virtual data set that leaves {pixels}"
    names = ", ".join(missing.files[:4]) + (", …" if len(missing.files) > 4 else "")
    return f"a virtual data set, and {len(missing.files)} of its sources missing: {names}; {pixels}"


def mask_gaps(
    dataset: h5py.Dataset,
    pattern: tuple[int, ...],
    mask: Bool[np.ndarray, "P"] | None,
    wanted: Wanted,
    notices: list[str],
) -> Bool[np.ndarray, "P"] | None:
    """Return ``mask`` with the pixels that have no source in some pattern.

    Raises :class:`FormatError` if sources are missing or the mask leaves such pixels in, unless
    masking them is wanted.
    """
    missing = gaps(dataset, pattern)
    left = missing.pixels if mask is None else missing.pixels & ~mask
    if not missing.files and not left.any():
        return mask
    said = f"{where(dataset)}: {describe(missing)}"
    if not wanted.mask_missing:
        raise FormatError(
            f"{said}; put the sources where the file looks for them, or mask these pixels in all "
            "patterns with mask_missing_modules = true in --config"
        )
    notices.append(f"{said}: masked in all patterns")
    return missing.pixels if mask is None else missing.pixels | mask


def gaps(dataset: h5py.Dataset, pattern: tuple[int, ...], depth: int = 0) -> Gaps:
    """Return what a data set [*pattern] or [patterns, *pattern] does not hold."""
    frames = dataset.shape[: dataset.ndim - len(pattern)]
    if not dataset.is_virtual:
        return Gaps(files=(), pixels=np.zeros(math.prod(pattern), bool))
    if max(math.prod(pattern), math.prod(frames)) > _MOST_DECLARED:
        raise FormatError(
            f"{where(dataset)} is a virtual data set of shape {dataset.shape}; expected at most "
            f"{_MOST_DECLARED:,} pixels, and patterns"
        )
    covered: dict[Region, np.ndarray] = {}
    lost: list[str] = []
    look = functools.cache(functools.partial(_look, dataset, depth))
    for source in dataset.virtual_sources():
        region = _region(source.vspace, dataset.shape)
        first, pixels = region[: len(frames)], region[len(frames) :]
        held = covered.setdefault(pixels, np.zeros(frames, bool))
        problem, shape = look(source.file_name, source.dset_name)
        if problem or not _holds(shape, source):
            lost.append(problem or f"the end of {source.dset_name} in {source.file_name}")
        else:
            held[np.ix_(*map(_indices, first))] = True
    complete = np.zeros(pattern, bool)
    for pixels, held in covered.items():
        if held.all():
            complete[np.ix_(*map(_indices, pixels))] = True
    return Gaps(files=tuple(dict.fromkeys(lost)), pixels=~complete.ravel())


def _region(space: Any, shape: tuple[int, ...]) -> Region:
    """Return the part of a virtual data set that a source fills, clipped to its shape."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return tuple((0, 1, 1, size) for size in shape)
    if space.is_regular_hyperslab():
        axes = zip(*space.get_regular_hyperslab(), shape, strict=True)
        return tuple(
            (start, stride, min(count, -(-(size - start) // stride)), min(block, size - start))
            for start, stride, count, block, size in axes
        )
    low, high = space.get_select_bounds()
    return tuple((a, 1, 1, b - a + 1) for a, b in zip(low, high, strict=True))


def _indices(axis: tuple[int, ...]) -> Int64[np.ndarray, "_"]:
    start, stride, count, block = axis
    return (start + stride * np.arange(count)[:, None] + np.arange(block)).ravel()


def _look(dataset: h5py.Dataset, depth: int, name: str, inner: str) -> tuple[str, tuple[int, ...]]:
    """Return what is missing of the source ``inner`` in the file ``name``, or its shape."""
    if name == ".":
        return _within(dataset.file, name, inner, depth)
    path = next((place for place in _places(dataset, name) if place.is_file()), None)
    if path is None:
        return name, ()
    try:
        with h5py.File(path, "r") as file:
            return _within(file, name, inner, depth)
    except OSError as error:
        return f"{name} ({error})", ()


def _places(dataset: h5py.Dataset, name: str) -> Iterator[Path]:
    """Yield where HDF5 looks for a source: beside the file, then from the working directory."""
    beside = Path(dataset.file.filename).parent
    yield from (beside / name, beside / Path(name).name, Path(name))


def _within(file: h5py.File, name: str, inner: str, depth: int) -> tuple[str, tuple[int, ...]]:
    try:
        found = member(file, inner)
    except FormatError as error:
        return str(error), ()
    if not isinstance(found, h5py.Dataset) or depth > _DEEPEST:
        return f"{inner} in {name}", ()
    missing = gaps(found, found.shape, depth + 1).files
    return (f"{inner} in {name} ({', '.join(missing)})" if missing else ""), found.shape


def _holds(shape: tuple[int, ...], source: Any) -> bool:
    """Return whether a source of a shape has all that is taken from it."""
    selection = source.src_space
    if selection.get_select_type() == h5py.h5s.SEL_ALL:
        return bool(math.prod(shape) == source.vspace.get_select_npoints())
    if selection.is_regular_hyperslab():
        ends = [
            0 if _UNLIMITED in (count, block) else start + (count - 1) * stride + block
            for start, stride, count, block in zip(*selection.get_regular_hyperslab(), strict=True)
        ]
    else:
        ends = [last + 1 for last in selection.get_select_bounds()[1]]
    return len(ends) == len(shape) and all(
        end <= size for end, size in zip(ends, shape, strict=True)
    )
