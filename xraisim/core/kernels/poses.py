"""Likelihood of candidate poses, pattern by pattern, with the fluence profiled out.

The slice of every candidate is formed in a small buffer and reduced at once: no [pattern,
candidate, pixel] array exists. Photons come sparse, so there is one logarithm per lit pixel.
"""

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.slices import (
    corner_weights,
    in_voxels,
    locate,
    trilinear,
    trilinear_gradient,
)

_TINY = np.float32(1e-12)
_FLUENCE_ROUNDS = 12


@njit(inline="always", fastmath=True)
def profiled(w, b, pixel, count, start, stop, exposure, P, has_background):
    """Return (log-likelihood, fluence) of one pattern, maximised over its fluence.

    Without background the maximum is in closed form, φ = Σk/Σw. With it, expectation-maximisation
    of the signal fraction climbs there monotonically.
    """
    total = 0.0
    for e in range(start, stop):
        if pixel[e] < P:
            total += count[e]
    fluence = total / exposure
    if has_background:
        for _ in range(_FLUENCE_ROUNDS):
            signal = 0.0
            for e in range(start, stop):
                p = pixel[e]
                if p < P:
                    lit = fluence * w[p]
                    signal += count[e] * lit / (lit + b[p])
            fluence = signal / exposure
    value = -fluence * exposure
    for e in range(start, stop):
        p = pixel[e]
        if p < P:
            value += count[e] * np.log(fluence * w[p] + b[p])
    return value, fluence


@njit(parallel=True, fastmath=True, cache=True)
def candidate_loglik(V, G, R, s, gain, b, inverse, offsets, pixel, count, has_background):
    """Fill log-likelihoods [n, C] and fluences [n, C] of candidates R [n, C, 3, 3]."""
    n, C, P = R.shape[0], R.shape[1], s.shape[1]
    value = np.empty((n, C), np.float64)
    fluence = np.empty((n, C), np.float64)
    for i in prange(n):
        w = np.empty(P, np.float32)
        for c in range(C):
            t = in_voxels(R[i, c], inverse)
            exposure = 0.0
            for p in range(P):
                base, fx, fy, fz = locate(t, s, p, G)
                w[p] = gain[p] * trilinear(V, base, fx, fy, fz, G) + _TINY
                exposure += w[p]
            value[i, c], fluence[i, c] = profiled(
                w, b, pixel, count, offsets[i], offsets[i + 1], exposure, P, has_background
            )
    return value, fluence


@njit(inline="always", fastmath=True)
def _slice_with_derivative(V, G, t, s, gain, w, dx, dy, dz):
    """Fill w and dw/dω for R ← R·exp(ω): dV/dω = −r × ∇V at r = Rᵀs. Return Σw."""
    exposure = 0.0
    for p in range(s.shape[1]):
        base, fx, fy, fz = locate(t, s, p, G)
        v, gx, gy, gz = trilinear_gradient(V, base, fx, fy, fz, G)
        # r and ∇V are both per voxel here, so the spacing cancels.
        x = t[0] * s[0, p] + t[1] * s[1, p] + t[2] * s[2, p]
        y = t[3] * s[0, p] + t[4] * s[1, p] + t[5] * s[2, p]
        z = t[6] * s[0, p] + t[7] * s[1, p] + t[8] * s[2, p]
        w[p] = gain[p] * v + _TINY
        dx[p] = gain[p] * (z * gy - y * gz)
        dy[p] = gain[p] * (x * gz - z * gx)
        dz[p] = gain[p] * (y * gx - x * gy)
        exposure += w[p]
    return exposure


@njit(parallel=True, fastmath=True, cache=True)
def scores(V, G, R, s, gain, b, inverse, offsets, pixel, count, has_background):
    """Return log-likelihood [n], score [n, 3] and Fisher information [n, 3, 3] of R [n, 3, 3].

    The fluence is profiled out of the information too (Schur complement). Score and information of
    a pattern without photons are 0.
    """
    n, P = R.shape[0], s.shape[1]
    value = np.empty(n, np.float64)
    score = np.empty((n, 3), np.float64)
    fisher = np.empty((n, 3, 3), np.float64)
    for i in prange(n):
        w = np.empty(P, np.float32)
        dx, dy, dz = np.empty(P, np.float32), np.empty(P, np.float32), np.empty(P, np.float32)
        exposure = _slice_with_derivative(V, G, in_voxels(R[i], inverse), s, gain, w, dx, dy, dz)
        start, stop = offsets[i], offsets[i + 1]
        value[i], fluence = profiled(w, b, pixel, count, start, stop, exposure, P, has_background)
        if fluence <= 0:
            score[i], fisher[i] = 0, 0
            continue
        phi = np.float32(fluence)
        sx = sy = sz = cx = cy = cz = ww = 0.0
        xx = xy = xz = yy = yz = zz = 0.0
        for p in range(P):
            weight = np.float32(1) / (phi * w[p] + b[p])
            x, y, z, u = dx[p], dy[p], dz[p], w[p] * weight
            sx, sy, sz = sx - x, sy - y, sz - z
            ww += w[p] * u
            cx, cy, cz = cx + x * u, cy + y * u, cz + z * u
            xx, xy, xz = xx + x * x * weight, xy + x * y * weight, xz + x * z * weight
            yy, yz, zz = yy + y * y * weight, yz + y * z * weight, zz + z * z * weight
        for e in range(start, stop):
            p = pixel[e]
            if p < P:
                ratio = count[e] / (phi * w[p] + b[p])
                sx, sy, sz = sx + ratio * dx[p], sy + ratio * dy[p], sz + ratio * dz[p]
        score[i, 0], score[i, 1], score[i, 2] = phi * sx, phi * sy, phi * sz
        scale = fluence * fluence
        fisher[i, 0, 0] = scale * (xx - cx * cx / ww)
        fisher[i, 1, 1] = scale * (yy - cy * cy / ww)
        fisher[i, 2, 2] = scale * (zz - cz * cz / ww)
        fisher[i, 0, 1] = fisher[i, 1, 0] = scale * (xy - cx * cy / ww)
        fisher[i, 0, 2] = fisher[i, 2, 0] = scale * (xz - cx * cz / ww)
        fisher[i, 1, 2] = fisher[i, 2, 1] = scale * (yz - cy * cz / ww)
    return value, score, fisher


@njit(parallel=True, fastmath=True, cache=True)
def accumulate(
    V, G, R, s, gain, b, inverse, offsets, pixel, count, has_background, phi, weight, parts
):
    """Return partial photon and exposure sums [parts, G³, 2] of patterns at poses R [n, 3, 3].

    A photon in a pixel with background counts for the signal in proportion φw/(φw + b). Both sums
    of a pattern are multiplied by its weight [n]; those of weight 0 cost nothing.
    """
    n, P = R.shape[0], s.shape[1]
    out = np.zeros((parts, G * G * G, 2), np.float32)
    for part in prange(parts):
        photons = np.zeros(P, np.float32)
        for i in range(part, n, parts):
            if weight[i] == 0:
                continue
            photons[:] = 0
            for e in range(offsets[i], offsets[i + 1]):
                if pixel[e] < P:
                    photons[pixel[e]] += count[e]
            t = in_voxels(R[i], inverse)
            for p in range(P):
                base, fx, fy, fz = locate(t, s, p, G)
                k = weight[i] * photons[p]
                exposure = phi[i] * gain[p]
                if has_background and k > 0:
                    lit = exposure * trilinear(V, base, fx, fy, fz, G) + _TINY
                    k *= lit / (lit + b[p])
                _scatter_pair(out[part], base, fx, fy, fz, G, k, weight[i] * exposure)
    return out


@njit(inline="always", fastmath=True)
def _scatter_pair(out, base, fx, fy, fz, G, k, exposure):
    """Scatter photons and exposure together: one pass over the corners' cache lines."""
    w00, w01, w10, w11, near, far = corner_weights(fx, fy, fz)
    row = np.uint64(G)
    above = base + row * row
    _add(out, base, w00 * near, w00 * far, k, exposure)
    _add(out, base + row, w01 * near, w01 * far, k, exposure)
    _add(out, above, w10 * near, w10 * far, k, exposure)
    _add(out, above + row, w11 * near, w11 * far, k, exposure)


@njit(inline="always", fastmath=True)
def _add(out, base, near, far, k, exposure):
    following = base + np.uint64(1)
    out[base, 0] += near * k
    out[base, 1] += near * exposure
    out[following, 0] += far * k
    out[following, 1] += far * exposure
