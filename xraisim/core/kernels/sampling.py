"""Trilinear slices of a volume and their adjoint.

Every loop cuts V(Rᵀ s) out of a cube stored flat. It goes by strips of pixels and in steps: where
the pixels lie, what the eight corners hold, and what follows from both. The first and the last are
arithmetic on contiguous rows, which the compiler makes vector instructions of; only the middle one
jumps about in memory, and does nothing else (together three times as fast as pixel by pixel).

Callers guarantee that rotations are rotations, that each |s| stays inside the cube, and that a
voxel's number fits in 32 bits, so the loops need no bounds test; see ``sampling.check_inside``.
Pixels come as three rows, s[3, P].
"""

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled

STRIP = 256  # pixels whose places and corners stay in the first-level cache
_ONE = np.uint64(1)


@compiled(fast=True, inline=True)
def in_voxels(R, inverse):
    """Return Rᵀ/spacing as nine scalars, which stay in registers."""
    return (
        R[0, 0] * inverse, R[1, 0] * inverse, R[2, 0] * inverse,
        R[0, 1] * inverse, R[1, 1] * inverse, R[2, 1] * inverse,
        R[0, 2] * inverse, R[1, 2] * inverse, R[2, 2] * inverse,
    )  # fmt: skip


@compiled(fast=True)
def locate(t, a, b, c, G, corner, fx, fy, fz):
    """Fill the flat numbers of the lower corners and the fractions of a strip of pixels (a, b, c).

    ``t`` is what ``in_voxels`` returned.
    """
    centre, edge = np.float32(G // 2), np.uint32(G)
    for j in range(len(a)):
        x = t[0] * a[j] + t[1] * b[j] + t[2] * c[j] + centre
        y = t[3] * a[j] + t[4] * b[j] + t[5] * c[j] + centre
        z = t[6] * a[j] + t[7] * b[j] + t[8] * c[j] + centre
        ix, iy, iz = np.int32(x), np.int32(y), np.int32(z)
        row = np.uint32(np.uint32(np.uint32(ix) * edge) + np.uint32(iy))
        corner[j] = np.uint32(np.uint32(row * edge) + np.uint32(iz))
        fx[j], fy[j], fz[j] = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)


@compiled(fast=True)
def look_up(V, G, corner, fx, fy, fz, out):
    """Fill the flat volume's values at located pixels."""
    row = np.uint64(G)
    for j in range(len(out)):
        base = np.uint64(corner[j])
        above = base + row * row
        c00 = V[base] + (V[base + _ONE] - V[base]) * fz[j]
        c01 = V[base + row] + (V[base + row + _ONE] - V[base + row]) * fz[j]
        c10 = V[above] + (V[above + _ONE] - V[above]) * fz[j]
        c11 = V[above + row] + (V[above + row + _ONE] - V[above + row]) * fz[j]
        c0 = c00 + (c01 - c00) * fy[j]
        c1 = c10 + (c11 - c10) * fy[j]
        out[j] = c0 + (c1 - c0) * fx[j]


@compiled(fast=True)
def gather(V, G, corner, v000, v001, v010, v011, v100, v101, v110, v111):
    """Fill what the eight corners of located pixels hold, named by their x, y and z."""
    row = np.uint64(G)
    for j in range(len(corner)):
        base = np.uint64(corner[j])
        above = base + row * row
        v000[j], v001[j] = V[base], V[base + _ONE]
        v010[j], v011[j] = V[base + row], V[base + row + _ONE]
        v100[j], v101[j] = V[above], V[above + _ONE]
        v110[j], v111[j] = V[above + row], V[above + row + _ONE]


@compiled(fast=True, inline=True)
def trilinear_gradient(v000, v001, v010, v011, v100, v101, v110, v111, fx, fy, fz):
    """Return the value between eight corners, and its gradient per voxel along x, y and z."""
    c00, c01 = v000 + (v001 - v000) * fz, v010 + (v011 - v010) * fz
    c10, c11 = v100 + (v101 - v100) * fz, v110 + (v111 - v110) * fz
    c0, c1 = c00 + (c01 - c00) * fy, c10 + (c11 - c10) * fy
    gy = (c01 - c00) + ((c11 - c10) - (c01 - c00)) * fx
    d0 = (v001 - v000) + ((v011 - v010) - (v001 - v000)) * fy
    d1 = (v101 - v100) + ((v111 - v110) - (v101 - v100)) * fy
    return c0 + (c1 - c0) * fx, c1 - c0, gy, d0 + (d1 - d0) * fx


@compiled(fast=True)
def _turned(inverse, a, b, c, grad, fx, fy, fz, v, out):
    """Add a strip's part of the gradient of Σ grad·slice to that of a rotation, ``out`` [3, 3]."""
    v0, v1, v2, v3, v4, v5, v6, v7 = v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
    ax = ay = az = bx = by = bz = cx = cy = cz = np.float32(0)
    for j in range(len(a)):
        _, gx, gy, gz = trilinear_gradient(
            v0[j], v1[j], v2[j], v3[j], v4[j], v5[j], v6[j], v7[j], fx[j], fy[j], fz[j]
        )
        g = grad[j] * inverse
        gx, gy, gz = g * gx, g * gy, g * gz
        ax, ay, az = ax + gx * a[j], ay + gy * a[j], az + gz * a[j]
        bx, by, bz = bx + gx * b[j], by + gy * b[j], bz + gz * b[j]
        cx, cy, cz = cx + gx * c[j], cy + gy * c[j], cz + gz * c[j]
    out[0, 0], out[0, 1], out[0, 2] = out[0, 0] + ax, out[0, 1] + ay, out[0, 2] + az
    out[1, 0], out[1, 1], out[1, 2] = out[1, 0] + bx, out[1, 1] + by, out[1, 2] + bz
    out[2, 0], out[2, 1], out[2, 2] = out[2, 0] + cx, out[2, 1] + cy, out[2, 2] + cz


@compiled(fast=True, inline=True)
def room():
    """Return where a strip's corners, and its fractions [3, STRIP], are kept."""
    return np.empty(STRIP, np.uint32), np.empty((3, STRIP), np.float32)


@compiled(fast=True, inline=True)
def located(t, s, first, last, G, corner, f):
    """Locate the pixels ``first`` … ``last`` − 1; return their corners and fractions."""
    m = last - first
    at, fx, fy, fz = corner[:m], f[0][:m], f[1][:m], f[2][:m]
    locate(t, s[0][first:last], s[1][first:last], s[2][first:last], G, at, fx, fy, fz)
    return at, fx, fy, fz


@compiled(fast=True)
def cut(V, G, t, s, out, corner, f):
    """Fill one slice [P]."""
    P = s.shape[1]
    for first in range(0, P, STRIP):
        last = min(first + STRIP, P)
        at, fx, fy, fz = located(t, s, first, last, G, corner, f)
        look_up(V, G, at, fx, fy, fz, out[first:last])


@compiled(fast=True, parallel=True)
def slice_forward(V, G, R, s, inverse):
    """Return slices [n, P] of the flat volume at rotations [n, 3, 3] and pixels [3, P]."""
    n, P = R.shape[0], s.shape[1]
    out = np.empty((n, P), np.float32)
    for i in prange(n):
        corner, f = room()
        cut(V, G, in_voxels(R[i], inverse), s, out[i], corner, f)
    return out


@compiled(fast=True, inline=True)
def corner_weights(fx, fy, fz):
    """Return the weights of the four (x, y) columns of corners, and of their two z ends."""
    one = np.float32(1)
    ex, ey = one - fx, one - fy
    return ex * ey, ex * fy, fx * ey, fx * fy, one - fz, fz


@compiled(fast=True)
def _scatter(out, G, corner, fx, fy, fz, values):
    """Add values to the eight corners with trilinear weights: the adjoint of ``look_up``."""
    row = np.uint64(G)
    for j in range(len(values)):
        value = values[j]
        if value == 0:
            continue
        base = np.uint64(corner[j])
        above = base + row * row
        w00, w01, w10, w11, near, far = corner_weights(fx[j], fy[j], fz[j])
        near, far = near * value, far * value
        out[base] += w00 * near
        out[base + _ONE] += w00 * far
        out[base + row] += w01 * near
        out[base + row + _ONE] += w01 * far
        out[above] += w10 * near
        out[above + _ONE] += w10 * far
        out[above + row] += w11 * near
        out[above + row + _ONE] += w11 * far


@compiled(fast=True, parallel=True)
def insert_forward(values, G, R, s, inverse, parts):
    """Return ``parts`` partial volumes whose sum is the adjoint of slicing applied to values.

    Pattern i always goes to part i mod ``parts``, so the sum does not depend on the thread count.
    """
    n, P = values.shape
    out = np.zeros((parts, G * G * G), np.float32)
    for part in prange(parts):
        corner, f = room()
        for i in range(part, n, parts):
            t = in_voxels(R[i], inverse)
            for first in range(0, P, STRIP):
                last = min(first + STRIP, P)
                at, fx, fy, fz = located(t, s, first, last, G, corner, f)
                _scatter(out[part], G, at, fx, fy, fz, values[i][first:last])
    return out


@compiled(fast=True)
def scatter_pairs(out, G, corner, fx, fy, fz, first, second):
    """Add pairs of values to the eight corners of ``out`` [G³, 2], flat: one look-up for both.

    The two z ends of a column are neighbours, so each column is one addition of four numbers.
    """
    row = np.uint64(2 * G)
    for j in range(len(first)):
        a, b = first[j], second[j]
        if a == 0 and b == 0:
            continue
        base = np.uint64(2) * np.uint64(corner[j])
        above = base + np.uint64(G) * row
        w00, w01, w10, w11, near, far = corner_weights(fx[j], fy[j], fz[j])
        an, bn, af, bf = a * near, b * near, a * far, b * far
        _add_four(out, base, w00 * an, w00 * bn, w00 * af, w00 * bf)
        _add_four(out, base + row, w01 * an, w01 * bn, w01 * af, w01 * bf)
        _add_four(out, above, w10 * an, w10 * bn, w10 * af, w10 * bf)
        _add_four(out, above + row, w11 * an, w11 * bn, w11 * af, w11 * bf)


@compiled(fast=True, inline=True)
def _add_four(out, at, a, b, c, d):
    out[at] += a
    out[at + np.uint64(1)] += b
    out[at + np.uint64(2)] += c
    out[at + np.uint64(3)] += d


@compiled(fast=True, parallel=True)
def insert_pairs(first, second, G, R, s, inverse, parts):
    """Return ``insert_forward`` of two sets of values, [parts, G³, 2]."""
    n, P = first.shape
    out = np.zeros((parts, G * G * G * 2), np.float32)
    for part in prange(parts):
        corner, f = room()
        for i in range(part, n, parts):
            t = in_voxels(R[i], inverse)
            for begin in range(0, P, STRIP):
                end = min(begin + STRIP, P)
                at, fx, fy, fz = located(t, s, begin, end, G, corner, f)
                scatter_pairs(
                    out[part], G, at, fx, fy, fz, first[i][begin:end], second[i][begin:end]
                )
    return out.reshape(parts, G * G * G, 2)


@compiled(fast=True, parallel=True)
def rotation_backward(V, G, R, s, inverse, grad):
    """Return the gradient of Σ grad·slice with respect to the rotation matrices."""
    n, P = grad.shape
    out = np.zeros((n, 3, 3), np.float32)
    for i in prange(n):
        corner, f = room()
        v = np.empty((8, STRIP), np.float32)
        t = in_voxels(R[i], inverse)
        for first in range(0, P, STRIP):
            last = min(first + STRIP, P)
            at, fx, fy, fz = located(t, s, first, last, G, corner, f)
            gather(V, G, at, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])
            _turned(
                inverse, s[0][first:last], s[1][first:last], s[2][first:last],
                grad[i][first:last], fx, fy, fz, v, out[i],
            )  # fmt: skip
    return out
