"""Where photons lie while they are drawn: in lists, then in rows of exposures and of shots."""

from typing import NamedTuple

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled

END = np.iinfo(np.int32).max  # after the last pixel of a list


class Rows(NamedTuple):
    """Rows of entries, ascending in pixel, with room for as many each.

    ``pixel`` and ``photons``, how many it has, int32 [rows, capacity]. ``length`` int64 [rows]: how
    many entries there are; where that exceeds the capacity the row is cut and must be drawn again
    with more room.
    """

    pixel: np.ndarray
    photons: np.ndarray
    length: np.ndarray


class Scratch(NamedTuple):
    """Lists that exposures are drawn in one after another.

    Per usable pixel: ``block`` and ``bound``, and ``total`` per chunk of them (``bound_pixels``).
    Per look-up, bright pixels first: ``where`` (the pixel), ``distance`` (of an event), ``mean``
    (λ), ``point`` and ``brick``. ``kept``: pixels of events that are photons. Per bright pixel:
    ``photons``, and λ as a ``length``. ``event`` and ``left``: what ``scatter`` lists.
    """

    block: np.ndarray
    bound: np.ndarray
    total: np.ndarray
    where: np.ndarray
    distance: np.ndarray
    mean: np.ndarray
    point: np.ndarray
    brick: np.ndarray
    kept: np.ndarray
    photons: np.ndarray
    length: np.ndarray
    event: np.ndarray
    left: np.ndarray


@compiled
def make_scratch(pixels, chunk):
    """Return room for more events than there are once in 10⁵⁰ exposures."""
    room, most = 2 * pixels + 1024, 11 * pixels + 1024
    return Scratch(
        block=np.empty(pixels, np.int32),
        bound=np.empty(pixels, np.float32),
        total=np.empty(pixels // chunk, np.int64),
        where=np.empty(room, np.int32),
        distance=np.empty(room, np.float32),
        mean=np.empty(room, np.float32),
        point=np.empty((3, room), np.float32),
        brick=np.empty(room, np.int32),
        kept=np.empty(room, np.int32),
        photons=np.empty(pixels, np.int32),
        length=np.empty(pixels, np.int64),
        event=np.empty(most, np.int32),
        left=np.empty(most, np.int64),
    )


@compiled
def write_row(rows, row, flat, scratch, entries):
    """Write an exposure's bright pixels and kept events as one ascending row.

    ``entries``: bright pixels and events together. ``flat``: the pixels' indices on the detector.
    """
    pixel, count = rows.pixel[row], rows.photons[row]
    where, photons, kept = scratch.where, scratch.photons, scratch.kept
    i, j, length, last = np.uint32(0), np.uint32(0), 0, -1
    for _ in range(entries):
        dim = kept[j] < where[i]
        p = min(kept[j], where[i])
        more = 1 if dim else photons[i]
        j += np.uint32(dim)
        i += np.uint32(not dim)
        length += int(p != last)
        if length <= len(pixel):
            count[length - 1] = more + (count[length - 1] if p == last else 0)
            pixel[length - 1] = flat[p]
        last = p
    rows.length[row] = length


@compiled(parallel=True, nogil=True)
def merged_lengths(rows, starts):
    """Return how many different pixels the rows ``starts[i]:starts[i + 1]`` of each shot hold."""
    pixel, length = rows.pixel, rows.length
    out = np.empty(len(starts) - 1, np.int64)
    for i in prange(len(out)):
        if starts[i + 1] - starts[i] == 1:
            out[i] = length[starts[i]]
            continue
        heads, out[i] = np.zeros(starts[i + 1] - starts[i], np.int64), 0
        while _smallest(pixel, length, starts[i], heads) >= 0:
            _take(pixel, pixel, length, starts[i], heads)
            out[i] += 1
    return out


@compiled(parallel=True, nogil=True)
def merge_rows(rows, starts, offsets, merged_pixel, merged_count):
    """Write each shot's entries, ascending, to its place; counts of equal pixels are added."""
    pixel, count, length = rows.pixel, rows.photons, rows.length
    for i in prange(len(starts) - 1):
        first, start = starts[i], offsets[i]
        if starts[i + 1] - first == 1:
            for k in range(length[first]):
                merged_pixel[start + k] = pixel[first, k]
                merged_count[start + k] = count[first, k]
            continue
        heads = np.zeros(starts[i + 1] - first, np.int64)
        for at in range(start, offsets[i + 1]):
            merged_pixel[at] = _smallest(pixel, length, first, heads)
            merged_count[at] = _take(pixel, count, length, first, heads)


@compiled
def _smallest(pixel, length, first, heads):
    """Return the smallest pixel at the heads of the rows, −1 if all are at their ends."""
    smallest = -1
    for r in range(len(heads)):
        if heads[r] < length[first + r]:
            p = pixel[first + r, heads[r]]
            smallest = p if smallest < 0 else min(smallest, p)
    return smallest


@compiled
def _take(pixel, count, length, first, heads):
    """Move the heads of the rows past their smallest pixel; return the sum of its counts."""
    smallest, total = _smallest(pixel, length, first, heads), 0
    for r in range(len(heads)):
        if heads[r] < length[first + r] and pixel[first + r, heads[r]] == smallest:
            total += count[first + r, heads[r]]
            heads[r] += 1
    return total
