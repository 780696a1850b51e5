"""numba loops behind :mod:`xraisim.scattering.structure_factor`."""

import math

import numpy as np
from numba import njit, prange

# The loops over a slab run on one thread each and without the interpreter's lock: the slabs are
# what is shared out among threads.


@njit(nogil=True, cache=True)
def add_weighted(out, part, table, step, first):
    """Add ``part`` times a real radial function to ``out``; both complex [planes, M, M].

    ``table`` holds the function at equal steps of s², ``step`` is one voxel's s² in table points;
    ``first`` is the first plane's distance from s = 0 in voxels.
    """
    if not 0 <= step < np.inf:
        raise ValueError("the step in the table of form factors is no positive number")
    planes, edge = out.shape[0], out.shape[1]
    centre, last = edge // 2, len(table) - 2
    for i in range(planes):
        for j in range(edge):
            for k in range(edge):
                squared = (i + first) ** 2 + (j - centre) ** 2 + (k - centre) ** 2
                position = min(squared * step, last + 1.0)
                lower = min(int(position), last)
                fraction = np.float32(position - lower)
                weight = table[lower] + (table[lower + 1] - table[lower]) * fraction
                out[i, j, k] += part[i, j, k] * weight


@njit(nogil=True, cache=True)
def friedel_intensities(A, B, plus, minus, first, radius):
    """Write |A + iB|² to ``plus`` and |A − iB|², which belongs to −s, to ``minus``; float32.

    Points farther than ``radius`` voxels from s = 0 are left alone.
    """
    centre = A.shape[1] // 2
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            for k in range(A.shape[2]):
                squared = (i + first) ** 2 + (j - centre) ** 2 + (k - centre) ** 2
                if squared > radius * radius:
                    continue
                a, b = A[i, j, k], B[i, j, k]
                plus[i, j, k] = (a.real - b.imag) ** 2 + (a.imag + b.real) ** 2
                minus[i, j, k] = (a.real + b.imag) ** 2 + (a.imag - b.real) ** 2


@njit(parallel=True, cache=True)
def direct_sum(s, positions, kind, profiles):
    """Return F [P], complex128, of s [P, 3]; atom j has profile ``profiles[kind[j], p]``."""
    out = np.zeros(s.shape[0], np.complex128)
    for p in prange(s.shape[0]):
        total = 0j
        for j in range(positions.shape[0]):
            phase = (
                s[p, 0] * positions[j, 0] + s[p, 1] * positions[j, 1] + s[p, 2] * positions[j, 2]
            )
            turn = 2 * math.pi * (phase - math.floor(phase))
            total += profiles[kind[j], p] * complex(math.cos(turn), math.sin(turn))
        out[p] = total
    return out


@njit(parallel=True, cache=True)
def filter_rows(volume, taps):
    """Filter [n, G, m] in place along G by the symmetric taps a₀, a₁, … (centre first).

    The outermost layers, where the filter would leave the volume, stay as they are.
    """
    grid, reach = volume.shape[1], len(taps) - 1
    for i in prange(volume.shape[0]):
        plane = volume[i].copy()
        for j in range(reach, grid - reach):
            for k in range(plane.shape[1]):
                total = taps[0] * plane[j, k]
                for m in range(1, reach + 1):
                    total += taps[m] * (plane[j - m, k] + plane[j + m, k])
                volume[i, j, k] = total
