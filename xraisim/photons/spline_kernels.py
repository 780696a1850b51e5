"""numba loops of the quadratic B-spline: look-ups in the intensity volume, and their bounds."""

import math

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.prefetch import prefetch

BLOCK_BITS = 2  # blocks of 4³ voxels
_HALF = 0.87  # voxels: from a voxel's centre to its corner, √3/2


@njit(inline="always", fastmath=True)
def voxel(R, s0, s1, s2, centre):
    """Return the place of s in voxels from the corner; ``R`` is the rotation in voxels per Å⁻¹."""
    x = R[0] * s0 + R[3] * s1 + R[6] * s2 + centre
    y = R[1] * s0 + R[4] * s1 + R[7] * s2 + centre
    z = R[2] * s0 + R[5] * s1 + R[8] * s2 + centre
    return x, y, z


@njit(parallel=True, cache=True)
def fill_bricks(out, V):
    """Copy a cube into bricks of 2 × 2 × 4 coefficients, a cache line each.

    A look-up touches 6 lines of them on average, and 11 of a plain cube. ``out``: see
    :func:`brick_strides`.
    """
    plane, line = brick_strides(V.shape[0])
    for x in prange(V.shape[0]):
        for y in range(V.shape[0]):
            start = _along(x, plane, 8) + _along(y, line, 4)
            for z in range(V.shape[0]):
                out[start + _along_z(z)] = V[x, y, z]


@njit(cache=True)
def brick_strides(G):
    """Return how many floats apart bricks are along x and along y; there are G/2 along x."""
    line = np.int64((G + 3) // 4 * 16)
    return (G + 1) // 2 * line, line


@njit(inline="always")
def _along(i, stride, within):
    """Return the offset of coefficient ``i`` along x or y."""
    return (i >> 1) * stride + (i & 1) * within


@njit(inline="always")
def _along_z(i):
    """Return the offset of coefficient ``i`` along z."""
    return (i >> 2) * 16 + (i & 3)


@njit(inline="always", fastmath=True)
def fetch_ahead(bricks, plane, line, x, y, z):
    """Ask for the bricks that a look-up at a point in voxels will need."""
    half, one = np.float32(0.5), np.int64(1)
    ix, iy, iz = np.int64(x + half), np.int64(y + half), np.int64(z + half)
    x0, x1 = ((ix - one) >> 1) * plane, ((ix + one) >> 1) * plane
    y0, y1 = ((iy - one) >> 1) * line, ((iy + one) >> 1) * line
    z0, z1 = ((iz - one) >> 2) * 16, ((iz + one) >> 2) * 16
    for at in (x0 + y0, x0 + y1, x1 + y0, x1 + y1):
        prefetch(bricks, at + z0)
        prefetch(bricks, at + z1)


@njit(inline="always", fastmath=True)
def _row(V, at, z0, z1, z2, a, b, c):
    """Return three neighbours along z weighted by a, b, c; unsigned, to skip the sign test."""
    return V[np.uintp(at + z0)] * a + V[np.uintp(at + z1)] * b + V[np.uintp(at + z2)] * c


@njit(inline="always", fastmath=True)
def spline(V, plane, line, x, y, z):
    """Return max(0, quadratic B-spline of the coefficients in bricks at a point in voxels)."""
    half, flat = np.float32(0.5), np.float32(0.75)
    ix, iy, iz = np.int64(x + half), np.int64(y + half), np.int64(z + half)
    tx, ty, tz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
    lx, mx, ux = half * (half - tx) * (half - tx), flat - tx * tx, half * (half + tx) * (half + tx)
    ly, my, uy = half * (half - ty) * (half - ty), flat - ty * ty, half * (half + ty) * (half + ty)
    a, b, c = half * (half - tz) * (half - tz), flat - tz * tz, half * (half + tz) * (half + tz)
    x0, x1, x2 = _along(ix - 1, plane, 8), _along(ix, plane, 8), _along(ix + 1, plane, 8)
    y0, y1, y2 = _along(iy - 1, line, 4), _along(iy, line, 4), _along(iy + 1, line, 4)
    z0, z1, z2 = _along_z(iz - 1), _along_z(iz), _along_z(iz + 1)
    v0 = (
        ly * _row(V, x0 + y0, z0, z1, z2, a, b, c)
        + my * _row(V, x0 + y1, z0, z1, z2, a, b, c)
        + uy * _row(V, x0 + y2, z0, z1, z2, a, b, c)
    )
    v1 = (
        ly * _row(V, x1 + y0, z0, z1, z2, a, b, c)
        + my * _row(V, x1 + y1, z0, z1, z2, a, b, c)
        + uy * _row(V, x1 + y2, z0, z1, z2, a, b, c)
    )
    v2 = (
        ly * _row(V, x2 + y0, z0, z1, z2, a, b, c)
        + my * _row(V, x2 + y1, z0, z1, z2, a, b, c)
        + uy * _row(V, x2 + y2, z0, z1, z2, a, b, c)
    )
    return max(lx * v0 + mx * v1 + ux * v2, np.float32(0))


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
