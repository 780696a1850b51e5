"""Likelihood of candidate poses, pattern by pattern, with the fluence profiled out.

The slice of every candidate is formed in a small buffer and reduced at once: no [pattern,
candidate, pixel] array exists. The sparse photons of one pattern are laid out among its pixels, so
that what follows the look-up runs along contiguous rows.
"""

import numpy as np
from numba import prange

from xraisim.core.kernels.arithmetic import log
from xraisim.core.kernels.compiled import compiled
from xraisim.core.kernels.sampling import (
    STRIP,
    cut,
    gather,
    in_voxels,
    located,
    room,
    trilinear_gradient,
)

_TINY = np.float32(1e-12)
_FLUENCE_ROUNDS = 12


@compiled(fast=True)
def lay_out(pixel, count, start, stop, k):
    """Fill the counts of a pattern [P] from its sparse photons, and return their sum.

    Photons in pixels beyond P are left out.
    """
    k[:] = 0
    total = 0.0
    for e in range(start, stop):
        p = np.uint32(pixel[e])
        if p < np.uint32(len(k)):
            k[p] += np.float32(count[e])
            total += count[e]
    return total


@compiled(fast=True)
def exposed(V, G, t, s, gain, w, corner, f):
    """Fill expected counts w = gain·V(Rᵀs) at fluence 1, and return their sum."""
    cut(V, G, t, s, w, corner, f)
    total = 0.0
    for p in range(len(w)):
        w[p] = gain[p] * w[p] + _TINY
        total += w[p]
    return total


@compiled(fast=True)
def best_fluence(w, b, k, total, exposure, has_background):
    """Return the likeliest fluence of a pattern.

    Without background in closed form, φ = Σk/Σw. With it, expectation-maximisation of the signal
    fraction climbs there monotonically.
    """
    fluence = total / exposure
    if has_background:
        for _ in range(_FLUENCE_ROUNDS):
            signal, phi = 0.0, np.float32(fluence)
            for p in range(len(w)):
                lit = phi * w[p] + _TINY
                signal += k[p] * (lit / (lit + b[p]))
            fluence = signal / exposure
    return fluence


@compiled(fast=True)
def loglik(w, b, k, fluence, exposure):
    """Return Σ k ln(φw + b) − φ Σw."""
    value = 0.0
    for p in range(len(w)):
        value += k[p] * log(fluence * w[p] + b[p])
    return value - fluence * exposure


@compiled(fast=True, parallel=True)
def candidate_loglik(V, G, R, s, gain, b, inverse, offsets, pixel, count, has_background):
    """Return log-likelihoods [n, C] and fluences [n, C] of candidates R [n, C, 3, 3]."""
    n, C, P = R.shape[0], R.shape[1], s.shape[1]
    value = np.empty((n, C), np.float64)
    fluence = np.empty((n, C), np.float64)
    for i in prange(n):
        w, k = np.empty(P, np.float32), np.empty(P, np.float32)
        corner, f = room()
        total = lay_out(pixel, count, offsets[i], offsets[i + 1], k)
        for c in range(C):
            exposure = exposed(V, G, in_voxels(R[i, c], inverse), s, gain, w, corner, f)
            fluence[i, c] = best_fluence(w, b, k, total, exposure, has_background)
            value[i, c] = loglik(w, b, k, fluence[i, c], exposure)
    return value, fluence


@compiled(fast=True)
def _derived(t, a, b, c, gain, fx, fy, fz, v, w, dx, dy, dz):
    """Fill w and dw/dω of a strip for R ← R·exp(ω): dV/dω = −r × ∇V at r = Rᵀs. Return Σw."""
    exposure = np.float32(0)
    v0, v1, v2, v3, v4, v5, v6, v7 = v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
    for j in range(len(w)):
        value, gx, gy, gz = trilinear_gradient(
            v0[j], v1[j], v2[j], v3[j], v4[j], v5[j], v6[j], v7[j], fx[j], fy[j], fz[j]
        )
        # r and ∇V are both per voxel here, so the spacing cancels.
        x = t[0] * a[j] + t[1] * b[j] + t[2] * c[j]
        y = t[3] * a[j] + t[4] * b[j] + t[5] * c[j]
        z = t[6] * a[j] + t[7] * b[j] + t[8] * c[j]
        g = gain[j]
        w[j] = g * value + _TINY
        dx[j], dy[j], dz[j] = g * (z * gy - y * gz), g * (x * gz - z * gx), g * (y * gx - x * gy)
        exposure += w[j]
    return exposure


@compiled(fast=True, inline=True)
def _exposed_and_derived(V, G, t, s, gain, w, d, corner, f, v):
    exposure = 0.0
    for first in range(0, len(w), STRIP):
        last = min(first + STRIP, len(w))
        at, fx, fy, fz = located(t, s, first, last, G, corner, f)
        gather(V, G, at, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])
        exposure += _derived(
            t, s[0][first:last], s[1][first:last], s[2][first:last], gain[first:last], fx, fy, fz,
            v, w[first:last], d[0][first:last], d[1][first:last], d[2][first:last],
        )  # fmt: skip
    return exposure


@compiled(fast=True)
def _sums(w, x, y, z, k, b, phi):
    """Return sums over a strip's pixels, λ = φw + b: Σ (k/λ − 1)·x⃗, Σ w·(x⃗, w)/λ, Σ x⃗x⃗ᵀ/λ."""
    one = np.float32(1)
    sx = sy = sz = cx = cy = cz = ww = np.float32(0)
    xx = xy = xz = yy = yz = zz = np.float32(0)
    for p in range(len(w)):
        weight = one / (phi * w[p] + b[p])
        over, u = k[p] * weight - one, w[p] * weight
        sx, sy, sz = sx + over * x[p], sy + over * y[p], sz + over * z[p]
        ww += w[p] * u
        cx, cy, cz = cx + x[p] * u, cy + y[p] * u, cz + z[p] * u
        ax, ay, az = x[p] * weight, y[p] * weight, z[p] * weight
        xx, xy, xz = xx + x[p] * ax, xy + x[p] * ay, xz + x[p] * az
        yy, yz, zz = yy + y[p] * ay, yz + y[p] * az, zz + z[p] * az
    return sx, sy, sz, cx, cy, cz, ww, xx, xy, xz, yy, yz, zz


@compiled(fast=True, parallel=True)
def scores(V, G, R, s, gain, b, inverse, offsets, pixel, count, has_background):
    """Return log-likelihood [n], score [n, 3] and Fisher information [n, 3, 3] of R [n, 3, 3].

    The fluence is profiled out of the information too (Schur complement). Score and information of
    a pattern without photons are 0.
    """
    n, P = R.shape[0], s.shape[1]
    value = np.zeros(n, np.float64)
    score = np.zeros((n, 3), np.float64)
    fisher = np.zeros((n, 3, 3), np.float64)
    for i in prange(n):
        w, k, d = np.empty(P, np.float32), np.empty(P, np.float32), np.empty((3, P), np.float32)
        corner, f = room()
        v = np.empty((8, STRIP), np.float32)
        total = lay_out(pixel, count, offsets[i], offsets[i + 1], k)
        t = in_voxels(R[i], inverse)
        exposure = _exposed_and_derived(V, G, t, s, gain, w, d, corner, f, v)
        fluence = best_fluence(w, b, k, total, exposure, has_background)
        if fluence <= 0:
            continue
        value[i] = loglik(w, b, k, fluence, exposure)
        sx = sy = sz = cx = cy = cz = ww = 0.0
        xx = xy = xz = yy = yz = zz = 0.0
        for first in range(0, P, STRIP):
            last = min(first + STRIP, P)
            one = _sums(
                w[first:last], d[0][first:last], d[1][first:last], d[2][first:last],
                k[first:last], b[first:last], np.float32(fluence),
            )  # fmt: skip
            sx, sy, sz = sx + one[0], sy + one[1], sz + one[2]
            cx, cy, cz, ww = cx + one[3], cy + one[4], cz + one[5], ww + one[6]
            xx, xy, xz = xx + one[7], xy + one[8], xz + one[9]
            yy, yz, zz = yy + one[10], yz + one[11], zz + one[12]
        score[i, 0], score[i, 1], score[i, 2] = fluence * sx, fluence * sy, fluence * sz
        scale = fluence * fluence
        fisher[i, 0, 0] = scale * (xx - cx * cx / ww)
        fisher[i, 1, 1] = scale * (yy - cy * cy / ww)
        fisher[i, 2, 2] = scale * (zz - cz * cz / ww)
        fisher[i, 0, 1] = fisher[i, 1, 0] = scale * (xy - cx * cy / ww)
        fisher[i, 0, 2] = fisher[i, 2, 0] = scale * (xz - cx * cz / ww)
        fisher[i, 1, 2] = fisher[i, 2, 1] = scale * (yz - cy * cz / ww)
    return value, score, fisher
