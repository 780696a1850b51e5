"""Trilinear slices of a volume and their adjoint.

Every loop cuts V(Rᵀ s) out of a cube stored flat. Pixels come as three rows, s[3, P], so that the
coordinate arithmetic vectorises; voxel numbers are unsigned, which spares numba's wrap-around
test (together twice as fast as the obvious form). Callers guarantee that rotations are rotations
and that each |s| stays inside the cube, so the loops need no bounds test; see
``sampling.check_inside``.
"""

import numpy as np
from numba import njit, prange

_ONE = np.uint64(1)


@njit(inline="always", fastmath=True)
def in_voxels(R, inverse):
    """Return Rᵀ/spacing as nine scalars, which stay in registers."""
    return (
        R[0, 0] * inverse, R[1, 0] * inverse, R[2, 0] * inverse,
        R[0, 1] * inverse, R[1, 1] * inverse, R[2, 1] * inverse,
        R[0, 2] * inverse, R[1, 2] * inverse, R[2, 2] * inverse,
    )  # fmt: skip


@njit(inline="always", fastmath=True)
def locate(t, s, p, G):
    """Return the flat number of the lower corner of pixel p and the three fractions.

    ``t`` is what ``in_voxels`` returned.
    """
    a, b, c = s[0, p], s[1, p], s[2, p]
    centre = np.float32(G // 2)
    x = t[0] * a + t[1] * b + t[2] * c + centre
    y = t[3] * a + t[4] * b + t[5] * c + centre
    z = t[6] * a + t[7] * b + t[8] * c + centre
    ix, iy, iz = np.int32(x), np.int32(y), np.int32(z)
    edge = np.uint64(G)
    base = (np.uint64(ix) * edge + np.uint64(iy)) * edge + np.uint64(iz)
    return base, x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)


@njit(inline="always", fastmath=True)
def trilinear(V, base, fx, fy, fz, G):
    """Interpolate the flat volume at a located point."""
    row = np.uint64(G)
    above = base + row * row
    c00 = V[base] + (V[base + _ONE] - V[base]) * fz
    c01 = V[base + row] + (V[base + row + _ONE] - V[base + row]) * fz
    c10 = V[above] + (V[above + _ONE] - V[above]) * fz
    c11 = V[above + row] + (V[above + row + _ONE] - V[above + row]) * fz
    c0 = c00 + (c01 - c00) * fy
    c1 = c10 + (c11 - c10) * fy
    return c0 + (c1 - c0) * fx


@njit(inline="always", fastmath=True)
def trilinear_gradient(V, base, fx, fy, fz, G):
    """Return the value and its gradient per voxel along x, y and z."""
    row = np.uint64(G)
    above = base + row * row
    v000, v001, v010, v011 = V[base], V[base + _ONE], V[base + row], V[base + row + _ONE]
    v100, v101, v110, v111 = V[above], V[above + _ONE], V[above + row], V[above + row + _ONE]
    c00, c01 = v000 + (v001 - v000) * fz, v010 + (v011 - v010) * fz
    c10, c11 = v100 + (v101 - v100) * fz, v110 + (v111 - v110) * fz
    c0, c1 = c00 + (c01 - c00) * fy, c10 + (c11 - c10) * fy
    gy = (c01 - c00) + ((c11 - c10) - (c01 - c00)) * fx
    d0 = (v001 - v000) + ((v011 - v010) - (v001 - v000)) * fy
    d1 = (v101 - v100) + ((v111 - v110) - (v101 - v100)) * fy
    return c0 + (c1 - c0) * fx, c1 - c0, gy, d0 + (d1 - d0) * fx


@njit(inline="always", fastmath=True)
def corner_weights(fx, fy, fz):
    """Return the weights of the four (x, y) columns of corners, and of their two z ends."""
    one = np.float32(1)
    ex, ey = one - fx, one - fy
    return ex * ey, ex * fy, fx * ey, fx * fy, one - fz, fz


@njit(inline="always", fastmath=True)
def scatter(out, base, fx, fy, fz, G, value):
    """Add ``value`` to the eight corners with trilinear weights: the adjoint of ``trilinear``."""
    w00, w01, w10, w11, near, far = corner_weights(fx, fy, fz)
    row = np.uint64(G)
    above = base + row * row
    near, far = near * value, far * value
    out[base] += w00 * near
    out[base + _ONE] += w00 * far
    out[base + row] += w01 * near
    out[base + row + _ONE] += w01 * far
    out[above] += w10 * near
    out[above + _ONE] += w10 * far
    out[above + row] += w11 * near
    out[above + row + _ONE] += w11 * far


@njit(parallel=True, fastmath=True, cache=True)
def slice_forward(V, G, R, s, inverse):
    """Return slices [n, P] of the flat volume at rotations [n, 3, 3] and pixels [3, P]."""
    n, P = R.shape[0], s.shape[1]
    out = np.empty((n, P), np.float32)
    for i in prange(n):
        t = in_voxels(R[i], inverse)
        for p in range(P):
            base, fx, fy, fz = locate(t, s, p, G)
            out[i, p] = trilinear(V, base, fx, fy, fz, G)
    return out


@njit(parallel=True, fastmath=True, cache=True)
def insert_forward(values, G, R, s, inverse, parts):
    """Return ``parts`` partial volumes whose sum is the adjoint of slicing applied to values.

    Pattern i always goes to part i mod ``parts``, so the sum does not depend on the thread count.
    """
    n, P = values.shape
    out = np.zeros((parts, G * G * G), np.float32)
    for part in prange(parts):
        for i in range(part, n, parts):
            t = in_voxels(R[i], inverse)
            for p in range(P):
                value = values[i, p]
                if value != 0:
                    base, fx, fy, fz = locate(t, s, p, G)
                    scatter(out[part], base, fx, fy, fz, G, value)
    return out


@njit(parallel=True, fastmath=True, cache=True)
def insert_pairs(first, second, G, R, s, inverse, parts):
    """Return ``insert_forward`` of two sets of values, [parts, G³, 2]: one look-up for both."""
    n, P = first.shape
    out = np.zeros((parts, G * G * G, 2), np.float32)
    row = np.uint64(G)
    for part in prange(parts):
        target = out[part]
        for i in range(part, n, parts):
            t = in_voxels(R[i], inverse)
            for p in range(P):
                a, b = first[i, p], second[i, p]
                if a == 0 and b == 0:
                    continue
                base, fx, fy, fz = locate(t, s, p, G)
                w00, w01, w10, w11, near, far = corner_weights(fx, fy, fz)
                above = base + row * row
                for side in range(2):
                    share = near if side == 0 else far
                    at = base + np.uint64(side)
                    target[at, 0] += w00 * share * a
                    target[at, 1] += w00 * share * b
                    target[at + row, 0] += w01 * share * a
                    target[at + row, 1] += w01 * share * b
                    up = above + np.uint64(side)
                    target[up, 0] += w10 * share * a
                    target[up, 1] += w10 * share * b
                    target[up + row, 0] += w11 * share * a
                    target[up + row, 1] += w11 * share * b
    return out


@njit(parallel=True, fastmath=True, cache=True)
def rotation_backward(V, G, R, s, inverse, grad):
    """Return the gradient of Σ grad·slice with respect to the rotation matrices."""
    n, P = grad.shape
    out = np.zeros((n, 3, 3), np.float32)
    for i in prange(n):
        t = in_voxels(R[i], inverse)
        for p in range(P):
            base, fx, fy, fz = locate(t, s, p, G)
            _, gx, gy, gz = trilinear_gradient(V, base, fx, fy, fz, G)
            g = grad[i, p] * inverse
            for a in range(3):
                out[i, a, 0] += g * gx * s[a, p]
                out[i, a, 1] += g * gy * s[a, p]
                out[i, a, 2] += g * gz * s[a, p]
    return out
