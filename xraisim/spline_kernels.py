"""numba loops of the quadratic B-spline: look-ups in the intensity volume, and their bounds."""

import numpy as np
from numba import njit, prange

BLOCK_BITS = 2  # blocks of 4³ voxels


@njit(inline="always", fastmath=True)
def voxel(R, s0, s1, s2, inverse, centre):
    """Return Rᵀ s in voxels from the corner of the cube, float32."""
    x = (R[0] * s0 + R[3] * s1 + R[6] * s2) * inverse + centre
    y = (R[1] * s0 + R[4] * s1 + R[7] * s2) * inverse + centre
    z = (R[2] * s0 + R[5] * s1 + R[8] * s2) * inverse + centre
    return x, y, z


@njit(inline="always", fastmath=True)
def _row(V, at, a, b, c):
    """Return three neighbours along z weighted by a, b, c; unsigned, to skip the sign test."""
    return V[np.uintp(at)] * a + V[np.uintp(at + 1)] * b + V[np.uintp(at + 2)] * c


@njit(inline="always", fastmath=True)
def spline(V, G, x, y, z):
    """Return max(0, quadratic B-spline of the flat coefficients at a point in voxels)."""
    half, flat = np.float32(0.5), np.float32(0.75)
    ix, iy, iz = np.int32(x + half), np.int32(y + half), np.int32(z + half)
    tx, ty, tz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
    lx, mx, ux = half * (half - tx) * (half - tx), flat - tx * tx, half * (half + tx) * (half + tx)
    ly, my, uy = half * (half - ty) * (half - ty), flat - ty * ty, half * (half + ty) * (half + ty)
    a, b, c = half * (half - tz) * (half - tz), flat - tz * tz, half * (half + tz) * (half + tz)
    p0 = ((np.int64(ix) - 1) * G + iy - 1) * G + iz - 1
    p1 = p0 + G * G
    p2 = p1 + G * G
    v0 = (
        ly * _row(V, p0, a, b, c)
        + my * _row(V, p0 + G, a, b, c)
        + uy * _row(V, p0 + 2 * G, a, b, c)
    )
    v1 = (
        ly * _row(V, p1, a, b, c)
        + my * _row(V, p1 + G, a, b, c)
        + uy * _row(V, p1 + 2 * G, a, b, c)
    )
    v2 = (
        ly * _row(V, p2, a, b, c)
        + my * _row(V, p2 + G, a, b, c)
        + uy * _row(V, p2 + 2 * G, a, b, c)
    )
    return max(lx * v0 + mx * v1 + ux * v2, np.float32(0))


@njit(cache=True, fastmath=True)
def bound_pixels(out, ceiling, blocks, R, inverse, centre, phi, s, gain, background):
    """Write an upper bound of every pixel's λ from the block of voxels that it falls in."""
    half = np.float32(0.5)
    for p in range(len(gain)):
        x, y, z = voxel(R, s[0, p], s[1, p], s[2, p], inverse, centre)
        bx = np.int32(x + half) >> BLOCK_BITS
        by = np.int32(y + half) >> BLOCK_BITS
        bz = np.int32(z + half) >> BLOCK_BITS
        out[p] = (
            phi * gain[p] * ceiling[np.uint32((bx * blocks + by) * blocks + bz)] + background[p]
        )


@njit(parallel=True, cache=True)
def block_ceilings(volume):
    """Return, for every block of voxels, the largest coefficient that a look-up in it can touch.

    Never below 0. A look-up touches the voxels next to its nearest one, so blocks overlap by one.
    """
    G, edge = volume.shape[0], 1 << BLOCK_BITS
    blocks = (G >> BLOCK_BITS) + 1
    out = np.zeros((blocks, blocks, blocks), np.float32)
    for bx in prange(blocks):
        for by in range(blocks):
            for bz in range(blocks):
                largest = np.float32(0)
                for x in range(max(0, bx * edge - 1), min(G, (bx + 1) * edge + 1)):
                    for y in range(max(0, by * edge - 1), min(G, (by + 1) * edge + 1)):
                        for z in range(max(0, bz * edge - 1), min(G, (bz + 1) * edge + 1)):
                            largest = max(largest, volume[x, y, z])
                out[bx, by, bz] = largest
    return out
