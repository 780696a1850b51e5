"""numba loops behind :mod:`xraisim.scattering`."""

import math

import numpy as np
from numba import njit, prange


@njit(parallel=True, cache=True)
def add_weighted(out, part, table, step):
    """Add ``part`` times a radial function to ``out``; both complex [G, G, G].

    ``table`` holds the function at equal steps of s², ``step`` is one voxel's s² in table points.
    """
    grid = out.shape[0]
    centre, last = grid // 2, len(table) - 2
    for i in prange(grid):
        for j in range(grid):
            for k in range(grid):
                squared = (i - centre) ** 2 + (j - centre) ** 2 + (k - centre) ** 2
                position = squared * step
                lower = min(int(position), last)
                fraction = position - lower
                weight = table[lower] + (table[lower + 1] - table[lower]) * fraction
                out[i, j, k] += part[i, j, k] * weight


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
def intensity(F, out):
    """Write |F|² into the float32 array ``out``, both flat."""
    for i in prange(F.shape[0]):
        out[i] = F[i].real ** 2 + F[i].imag ** 2


@njit(parallel=True, cache=True)
def filter_axis(volume, axis, taps):
    """Return the volume filtered along one axis by the symmetric taps a₀, a₁, … (centre first).

    The outermost layers, where the filter would leave the cube, are copied as they are.
    """
    grid, reach = volume.shape[0], len(taps) - 1
    out = volume.copy()
    di, dj, dk = int(axis == 0), int(axis == 1), int(axis == 2)
    for i in prange(reach * di, grid - reach * di):
        for j in range(reach * dj, grid - reach * dj):
            for k in range(reach * dk, grid - reach * dk):
                total = taps[0] * volume[i, j, k]
                for m in range(1, reach + 1):
                    below = volume[i - m * di, j - m * dj, k - m * dk]
                    total += taps[m] * (below + volume[i + m * di, j + m * dj, k + m * dk])
                out[i, j, k] = total
    return out
