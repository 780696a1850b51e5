"""Trilinear slices of a volume and their adjoint.

Every loop cuts V(Rᵀ s) out of a cube stored flat. ``inverse`` is 1/spacing. Callers guarantee that
each |s| stays inside the cube, so the loops need no bounds test; see ``sampling.check_inside``.
"""

import numpy as np
from numba import njit, prange


@njit(inline="always", fastmath=True)
def locate(R, s0, s1, s2, inverse, centre, G):
    """Return the flat index of the lower corner and the three fractions for Rᵀ s."""
    x = (R[0, 0] * s0 + R[1, 0] * s1 + R[2, 0] * s2) * inverse + centre
    y = (R[0, 1] * s0 + R[1, 1] * s1 + R[2, 1] * s2) * inverse + centre
    z = (R[0, 2] * s0 + R[1, 2] * s1 + R[2, 2] * s2) * inverse + centre
    ix, iy, iz = np.int32(x), np.int32(y), np.int32(z)
    return (ix * G + iy) * G + iz, x - ix, y - iy, z - iz


@njit(inline="always", fastmath=True)
def trilinear(V, base, fx, fy, fz, G):
    """Interpolate the flat volume at a located point."""
    above = base + G * G
    c00 = V[base] + (V[base + 1] - V[base]) * fz
    c01 = V[base + G] + (V[base + G + 1] - V[base + G]) * fz
    c10 = V[above] + (V[above + 1] - V[above]) * fz
    c11 = V[above + G] + (V[above + G + 1] - V[above + G]) * fz
    c0 = c00 + (c01 - c00) * fy
    c1 = c10 + (c11 - c10) * fy
    return c0 + (c1 - c0) * fx


@njit(inline="always", fastmath=True)
def trilinear_gradient(V, base, fx, fy, fz, G):
    """Return the value and its gradient per voxel along x, y and z."""
    above = base + G * G
    v000, v001, v010, v011 = V[base], V[base + 1], V[base + G], V[base + G + 1]
    v100, v101, v110, v111 = V[above], V[above + 1], V[above + G], V[above + G + 1]
    c00, c01 = v000 + (v001 - v000) * fz, v010 + (v011 - v010) * fz
    c10, c11 = v100 + (v101 - v100) * fz, v110 + (v111 - v110) * fz
    c0, c1 = c00 + (c01 - c00) * fy, c10 + (c11 - c10) * fy
    gy = (c01 - c00) + ((c11 - c10) - (c01 - c00)) * fx
    d0 = (v001 - v000) + ((v011 - v010) - (v001 - v000)) * fy
    d1 = (v101 - v100) + ((v111 - v110) - (v101 - v100)) * fy
    return c0 + (c1 - c0) * fx, c1 - c0, gy, d0 + (d1 - d0) * fx


@njit(inline="always", fastmath=True)
def scatter(out, base, fx, fy, fz, G, value):
    """Add ``value`` to the eight corners with trilinear weights: the adjoint of ``trilinear``."""
    above = base + G * G
    ex, ey, ez = np.float32(1) - fx, np.float32(1) - fy, np.float32(1) - fz
    lower, upper = value * ex, value * fx
    out[base] += lower * ey * ez
    out[base + 1] += lower * ey * fz
    out[base + G] += lower * fy * ez
    out[base + G + 1] += lower * fy * fz
    out[above] += upper * ey * ez
    out[above + 1] += upper * ey * fz
    out[above + G] += upper * fy * ez
    out[above + G + 1] += upper * fy * fz


@njit(parallel=True, fastmath=True, cache=True)
def slice_forward(V, G, R, s, inverse):
    """Return slices [n, P] of the flat volume at rotations [n, 3, 3] and pixels [P, 3]."""
    n, P = R.shape[0], s.shape[0]
    out = np.empty((n, P), np.float32)
    centre = np.float32(G // 2)
    for i in prange(n):
        for p in range(P):
            base, fx, fy, fz = locate(R[i], s[p, 0], s[p, 1], s[p, 2], inverse, centre, G)
            out[i, p] = trilinear(V, base, fx, fy, fz, G)
    return out


@njit(parallel=True, fastmath=True, cache=True)
def insert_forward(values, G, R, s, inverse, parts):
    """Return ``parts`` partial volumes whose sum is the adjoint of slicing applied to values.

    Pattern i always goes to part i mod ``parts``, so the sum does not depend on the thread count.
    """
    n, P = values.shape
    out = np.zeros((parts, G * G * G), np.float32)
    centre = np.float32(G // 2)
    for part in prange(parts):
        for i in range(part, n, parts):
            for p in range(P):
                value = values[i, p]
                if value != 0:
                    base, fx, fy, fz = locate(R[i], s[p, 0], s[p, 1], s[p, 2], inverse, centre, G)
                    scatter(out[part], base, fx, fy, fz, G, value)
    return out


@njit(parallel=True, fastmath=True, cache=True)
def rotation_backward(V, G, R, s, inverse, grad):
    """Return the gradient of Σ grad·slice with respect to the rotation matrices."""
    n, P = grad.shape
    out = np.zeros((n, 3, 3), np.float32)
    centre = np.float32(G // 2)
    for i in prange(n):
        for p in range(P):
            base, fx, fy, fz = locate(R[i], s[p, 0], s[p, 1], s[p, 2], inverse, centre, G)
            _, gx, gy, gz = trilinear_gradient(V, base, fx, fy, fz, G)
            g = grad[i, p] * inverse
            for a in range(3):
                out[i, a, 0] += g * gx * s[p, a]
                out[i, a, 1] += g * gy * s[p, a]
                out[i, a, 2] += g * gz * s[p, a]
    return out
