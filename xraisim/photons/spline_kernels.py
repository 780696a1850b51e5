"""numba loops of the bounds of a quadratic B-spline, the intensity volume."""

import math

import numpy as np
from numba import njit, prange

BLOCK_BITS = 2  # blocks of 4³ voxels
_HALF = 0.87  # voxels: from a voxel's centre to its corner, √3/2


@njit(cache=True, fastmath=True)
def _raise_ceiling(ceiling, line, V, xa, xb, ya, yb):
    """Raise a line of ceilings to the control values between two columns and two rows."""
    quarter, half = np.float32(0.25), np.float32(0.5)
    a, b, c, d = V[xa, ya], V[xa, yb], V[xb, ya], V[xb, yb]
    for z in range(len(line)):
        line[z] = quarter * ((a[z] + b[z]) + (c[z] + d[z]))
    for z in range(1, len(line) - 1):
        below, above = half * (line[z - 1] + line[z]), half * (line[z] + line[z + 1])
        ceiling[z] = max(ceiling[z], max(line[z], max(below, above)))


@njit(cache=True, fastmath=True)
def _line_ceilings(ceiling, line, V, x, y):
    """Write, for a line of voxels, the largest of 0 and the spline's control values around each.

    In Bézier form the piece of a quadratic B-spline with coefficients a, b, c has the control
    values (a + b)/2, b, (b + c)/2 along each axis, and lies in their convex hull (Farin 2002).
    """
    ceiling[:] = 0
    for xa in range(x - 1, x + 1):
        for ya in range(y - 1, y + 1):
            _raise_ceiling(ceiling, line, V, xa, xa + 1, ya, ya + 1)
        _raise_ceiling(ceiling, line, V, xa, xa + 1, y, y)
    for ya in range(y - 1, y + 1):
        _raise_ceiling(ceiling, line, V, x, x, ya, ya + 1)
    _raise_ceiling(ceiling, line, V, x, x, y, y)


@njit(parallel=True, cache=True, fastmath=True)
def upper_bounds(V):
    """Return upper bounds of the spline in every block of 4³ voxels, and in every shell.

    Both are float32 ≥ 0; the first [blocks, blocks, blocks]. Shell k holds the points from k to
    k + 1 voxels from the centre. The faces of the cube, where no look-up is complete, are left out.
    """
    G, edge = V.shape[0], 1 << BLOCK_BITS
    blocks = (G >> BLOCK_BITS) + 1
    block = np.zeros((blocks, blocks, blocks), np.float32)
    shell = np.zeros((blocks, G + 2), np.float32)
    for bx in prange(blocks):
        ceiling, line = np.empty(G, np.float32), np.empty(G, np.float32)
        for x in range(max(1, bx * edge), min(G - 1, (bx + 1) * edge)):
            for y in range(1, G - 1):
                _line_ceilings(ceiling, line, V, x, y)
                across = (x - G // 2) ** 2 + (y - G // 2) ** 2
                for z in range(1, G - 1):
                    by, bz = y >> BLOCK_BITS, z >> BLOCK_BITS
                    block[bx, by, bz] = max(block[bx, by, bz], ceiling[z])
                    radius = math.sqrt(across + (z - G // 2) ** 2)
                    for k in range(int(max(radius - _HALF, 0.0)), int(radius + _HALF) + 1):
                        shell[bx, k] = max(shell[bx, k], ceiling[z])
    return block, _largest(shell)


@njit(cache=True)
def _largest(shell):
    """Return the largest value of each column."""
    out = shell[0].copy()
    for row in shell[1:]:
        out = np.maximum(out, row)
    return out
