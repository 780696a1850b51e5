"""numba loops that gather the rows of entries of a shot's exposures into one row per shot."""

import numpy as np
from numba import njit, prange


@njit(parallel=True, nogil=True, cache=True)
def merged_lengths(pixel, length, rows):
    """Return how many different pixels the rows ``rows[i]:rows[i + 1]`` of each shot hold."""
    out = np.empty(len(rows) - 1, np.int64)
    for i in prange(len(out)):
        if rows[i + 1] - rows[i] == 1:
            out[i] = length[rows[i]]
            continue
        heads, out[i] = np.zeros(rows[i + 1] - rows[i], np.int64), 0
        while _smallest(pixel, length, rows[i], heads) >= 0:
            _take(pixel, pixel, length, rows[i], heads)
            out[i] += 1
    return out


@njit(parallel=True, nogil=True, cache=True)
def merge_rows(pixel, count, length, rows, offsets, merged_pixel, merged_count):
    """Write each shot's entries, ascending, to its place; counts of equal pixels are added."""
    for i in prange(len(rows) - 1):
        first, start = rows[i], offsets[i]
        if rows[i + 1] - first == 1:
            for k in range(length[first]):
                merged_pixel[start + k] = pixel[first, k]
                merged_count[start + k] = count[first, k]
            continue
        heads = np.zeros(rows[i + 1] - first, np.int64)
        for at in range(start, offsets[i + 1]):
            merged_pixel[at] = _smallest(pixel, length, first, heads)
            merged_count[at] = _take(pixel, count, length, first, heads)


@njit(cache=True)
def _smallest(pixel, length, first, heads):
    """Return the smallest pixel at the heads of the rows, −1 if all are at their ends."""
    smallest = -1
    for r in range(len(heads)):
        if heads[r] < length[first + r]:
            p = pixel[first + r, heads[r]]
            smallest = p if smallest < 0 else min(smallest, p)
    return smallest


@njit(cache=True)
def _take(pixel, count, length, first, heads):
    """Move the heads of the rows past their smallest pixel; return the sum of its counts."""
    smallest, total = _smallest(pixel, length, first, heads), 0
    for r in range(len(heads)):
        if heads[r] < length[first + r] and pixel[first + r, heads[r]] == smallest:
            total += count[first + r, heads[r]]
            heads[r] += 1
    return total
