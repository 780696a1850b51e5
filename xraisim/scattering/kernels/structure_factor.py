"""Loops of :mod:`xraisim.scattering.structure_factor`."""

import math

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled


# A slab is one thread's, without the interpreter's lock: slabs are shared out among threads.
@compiled(nogil=True)
def add_weighted(out, part, table, step, first):
    """Add ``part`` times a real radial function to ``out``; both complex [planes, M, M].

    ``table`` holds the function at equal steps of s², ``step`` is one voxel's s² in table points;
    ``first`` is the first plane's distance from s = 0 in voxels.
    """
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


@compiled(parallel=True)
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
