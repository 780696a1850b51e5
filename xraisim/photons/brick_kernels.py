"""numba loops of the look-up: the spline's coefficients in bricks of one cache line each.

A brick holds bfloat16 numbers (the upper half of float32): of 2 × 4 columns along z four
neighbours each. Bricks along z overlap by half, so that a look-up's three neighbours always lie in
one of them. A look-up touches 3 cache lines on average, and 11 of a plain cube of float32.
"""

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.bfloat16 import weighted_sum
from xraisim.core.kernels.prefetch import prefetch

BRICK = 32  # numbers: 2 × 4 × 4


def column_starts(G: int) -> np.ndarray:
    """Return where columns begin in the bricks of G³ coefficients, int64 [2, G]: along x and y."""
    at, line = np.arange(G), G // 2 * BRICK
    plane = -(-G // 4) * line
    return np.stack([at // 2 * plane + at % 2 * 16, at // 4 * line + at % 4 * 4])


@njit(parallel=True, cache=True)
def fill_bricks(out, starts, V):
    """Copy the upper halves of a cube, the bits of float32 numbers, into ``out``."""
    along_x, along_y = starts[0], starts[1]
    for x in prange(len(along_x)):
        for y in range(len(along_y)):
            for brick in range(len(V) // 2):
                at = along_x[x] + along_y[y] + BRICK * brick
                for z in range(2 * brick, min(2 * brick + 4, len(V))):
                    out[at + z - 2 * brick] = V[x, y, z] >> 16


@njit(inline="always")
def _nearest(x):
    """Return the number of the nearest coefficient as an index that needs no sign test."""
    return np.uint32(np.int32(x + np.float32(0.5)))


@njit(inline="always")
def fetch_ahead(bricks, starts, x, y, z):
    """Ask for the bricks that a look-up at a point in voxels will need."""
    along_x, along_y = starts[0], starts[1]
    one, i, j = np.uint32(1), _nearest(x), _nearest(y)
    brick = np.int64((_nearest(z) - one) >> one) * BRICK
    near, far = along_x[np.uint32(i - one)] + brick, along_x[np.uint32(i + one)] + brick
    left, right = along_y[np.uint32(j - one)], along_y[np.uint32(j + one)]
    prefetch(bricks, near + left)
    prefetch(bricks, near + right)
    prefetch(bricks, far + left)
    prefetch(bricks, far + right)


@njit(inline="always", fastmath=True)
def _weights(x, middle):
    """Return the quadratic B-spline's weights of the three coefficients around ``middle``."""
    half, t = np.float32(0.5), x - np.float32(np.int32(middle))
    below, above = half - t, half + t
    return half * below * below, np.float32(0.75) - t * t, half * above * above


@njit(inline="always", fastmath=True)
def spline(bricks, starts, x, y, z):
    """Return max(0, quadratic B-spline of the coefficients in bricks at a point in voxels)."""
    along_x, along_y = starts[0], starts[1]
    one, i, j, k = np.uint32(1), _nearest(x), _nearest(y), _nearest(z)
    a, b, c = _weights(z, k)
    second = np.float32(np.int32(k - one) & 1)  # 1 if the three are the last of the four, else 0
    first = np.float32(1) - second
    value = weighted_sum(
        bricks,
        (along_x[np.uint32(i - one)], along_x[i], along_x[np.uint32(i + one)]),
        (along_y[np.uint32(j - one)], along_y[j], along_y[np.uint32(j + one)]),
        np.int64((k - one) >> one) * BRICK,
        _weights(x, i),
        _weights(y, j),
        (first * a, first * b + second * a, first * c + second * b, second * c),
    )
    return max(value, np.float32(0))
