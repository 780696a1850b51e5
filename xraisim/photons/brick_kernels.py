"""numba loops of the look-up: the spline's coefficients in bricks of one cache line each.

A brick holds bfloat16 numbers (the upper half of float32): 2 × 4 × 4 of them along x, y and z.
Bricks overlap by half along y and z, so that the three neighbours of a look-up along them always
lie in one brick, and two bricks hold all 27. Every coefficient is stored four times.
"""

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.bfloat16 import spline_sum
from xraisim.core.kernels.prefetch import prefetch

BRICK = 32  # numbers: 2 × 4 × 4


@njit(parallel=True, cache=True)
def fill_bricks(out, V):
    """Copy the upper halves of a cube, the bits of float32 numbers, into ``out``."""
    G, along = len(V), len(V) // 2
    for x in prange(G):
        for brick in range(along * along):
            first_y, first_z = 2 * (brick // along), 2 * (brick % along)
            at = (x // 2 * along * along + brick) * BRICK + x % 2 * 16
            for y in range(first_y, min(first_y + 4, G)):
                for z in range(first_z, min(first_z + 4, G)):
                    out[at + 4 * (y - first_y) + z - first_z] = V[x, y, z] >> 16


@njit(inline="always", fastmath=True)
def _half(x):
    """Return the number of the brick that holds a look-up's neighbours along an axis."""
    return np.int32(np.float32(0.5) * x - np.float32(0.25))


@njit(inline="always", fastmath=True)
def place(x, y, z, along):
    """Return the number of a point's first brick, and the point in voxels from its corner.

    ``along``: bricks along y or z, int32. Nothing but sums and products, so that a loop vectorises.
    """
    i, j, k = _half(x), _half(y), _half(z)
    two = np.float32(2)
    return (
        (i * along + j) * along + k,
        x - two * np.float32(i),
        y - two * np.float32(j),
        z - two * np.float32(k),
    )


@njit(inline="always")
def fetch_ahead(bricks, brick, along):
    """Ask for the two bricks that a look-up will need."""
    near = np.int64(brick) * BRICK
    prefetch(bricks, near)
    prefetch(bricks, near + np.int64(along) * along * BRICK)


@njit(inline="always")
def spline(bricks, brick, x, y, z, along):
    """Return max(0, quadratic B-spline of the coefficients at a point that was placed)."""
    near = np.int64(brick) * BRICK
    far = near + np.int64(along) * along * BRICK
    return max(spline_sum(bricks, near, far, x, y, z), np.float32(0))
