"""Likelihood of candidate poses, pattern by pattern, with the fluence profiled out.

The slice of every candidate is formed in a small buffer and reduced at once: no [pattern,
candidate, pixel] array exists. Photons come sparse, so there is one logarithm per lit pixel.
"""

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.slices import locate, trilinear, trilinear_gradient

_TINY = np.float32(1e-12)
_FLUENCE_ROUNDS = 12


@njit(inline="always", fastmath=True)
def _profiled(w, b, pixel, count, start, stop, exposure, P, has_background):
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
    n, C, P = R.shape[0], R.shape[1], s.shape[0]
    value = np.empty((n, C), np.float64)
    fluence = np.empty((n, C), np.float64)
    centre = np.float32(G // 2)
    for i in prange(n):
        w = np.empty(P, np.float32)
        for c in range(C):
            exposure = 0.0
            for p in range(P):
                base, fx, fy, fz = locate(R[i, c], s[p, 0], s[p, 1], s[p, 2], inverse, centre, G)
                w[p] = gain[p] * trilinear(V, base, fx, fy, fz, G) + _TINY
                exposure += w[p]
            value[i, c], fluence[i, c] = _profiled(
                w, b, pixel, count, offsets[i], offsets[i + 1], exposure, P, has_background
            )
    return value, fluence


@njit(parallel=True, fastmath=True, cache=True)
def scores(V, G, R, s, gain, b, inverse, offsets, pixel, count, has_background):
    """Return log-likelihood [n], score [n, 3] and Fisher information [n, 3, 3] of R [n, 3, 3].

    Derivatives are with respect to a rotation vector ω in the particle frame, R ← R·exp(ω), where
    dV/dω = −(r × ∇V) at r = Rᵀs; the fluence is profiled out of both (Schur complement).
    """
    n, P = R.shape[0], s.shape[0]
    value = np.empty(n, np.float64)
    score = np.zeros((n, 3), np.float64)
    fisher = np.zeros((n, 3, 3), np.float64)
    centre = np.float32(G // 2)
    for i in prange(n):
        w = np.empty(P, np.float32)
        d = np.empty((P, 3), np.float32)
        exposure = 0.0
        for p in range(P):
            base, fx, fy, fz = locate(R[i], s[p, 0], s[p, 1], s[p, 2], inverse, centre, G)
            v, gx, gy, gz = trilinear_gradient(V, base, fx, fy, fz, G)
            x = R[i, 0, 0] * s[p, 0] + R[i, 1, 0] * s[p, 1] + R[i, 2, 0] * s[p, 2]
            y = R[i, 0, 1] * s[p, 0] + R[i, 1, 1] * s[p, 1] + R[i, 2, 1] * s[p, 2]
            z = R[i, 0, 2] * s[p, 0] + R[i, 1, 2] * s[p, 1] + R[i, 2, 2] * s[p, 2]
            g = gain[p] * inverse
            w[p] = gain[p] * v + _TINY
            d[p, 0] = -g * (y * gz - z * gy)
            d[p, 1] = -g * (z * gx - x * gz)
            d[p, 2] = -g * (x * gy - y * gx)
            exposure += w[p]
        value[i], phi = _profiled(
            w, b, pixel, count, offsets[i], offsets[i + 1], exposure, P, has_background
        )
        cross = np.zeros(3)
        curvature = 0.0
        for p in range(P):
            inverse_rate = 1.0 / (phi * w[p] + b[p])
            curvature += w[p] * w[p] * inverse_rate
            for a in range(3):
                score[i, a] -= phi * d[p, a]
                cross[a] += phi * d[p, a] * w[p] * inverse_rate
                for c in range(a + 1):
                    fisher[i, a, c] += phi * d[p, a] * phi * d[p, c] * inverse_rate
        for e in range(offsets[i], offsets[i + 1]):
            p = pixel[e]
            if p < P:
                for a in range(3):
                    score[i, a] += count[e] * phi * d[p, a] / (phi * w[p] + b[p])
        for a in range(3):
            for c in range(a + 1):
                fisher[i, a, c] -= cross[a] * cross[c] / curvature
                fisher[i, c, a] = fisher[i, a, c]
    return value, score, fisher


@njit(parallel=True, fastmath=True, cache=True)
def accumulate(V, G, R, s, gain, b, inverse, offsets, pixel, count, has_background, phi, parts):
    """Return partial photon and exposure sums [parts, 2, G³] of patterns at poses R [n, 3, 3].

    A photon in a pixel with background counts for the signal in proportion φw/(φw + b).
    """
    n, P = R.shape[0], s.shape[0]
    out = np.zeros((parts, G * G * G, 2), np.float32)
    centre = np.float32(G // 2)
    for part in prange(parts):
        photons = np.zeros(P, np.float32)
        for i in range(part, n, parts):
            photons[:] = 0
            for e in range(offsets[i], offsets[i + 1]):
                if pixel[e] < P:
                    photons[pixel[e]] += count[e]
            for p in range(P):
                base, fx, fy, fz = locate(R[i], s[p, 0], s[p, 1], s[p, 2], inverse, centre, G)
                k = photons[p]
                exposure = phi[i] * gain[p]
                if has_background and k > 0:
                    lit = exposure * trilinear(V, base, fx, fy, fz, G) + _TINY
                    k *= lit / (lit + b[p])
                _scatter_pair(out[part], base, fx, fy, fz, G, k, exposure)
    return out


@njit(inline="always", fastmath=True)
def _scatter_pair(out, base, fx, fy, fz, G, k, exposure):
    """Scatter photons and exposure together: one pass over the corners' cache lines."""
    ex, ey, ez = np.float32(1) - fx, np.float32(1) - fy, np.float32(1) - fz
    above = base + G * G
    _add(out, base, ex * ey, ez, fz, k, exposure)
    _add(out, base + G, ex * fy, ez, fz, k, exposure)
    _add(out, above, fx * ey, ez, fz, k, exposure)
    _add(out, above + G, fx * fy, ez, fz, k, exposure)


@njit(inline="always", fastmath=True)
def _add(out, base, weight, ez, fz, k, exposure):
    near, far = weight * ez, weight * fz
    out[base, 0] += near * k
    out[base, 1] += near * exposure
    out[base + 1, 0] += far * k
    out[base + 1, 1] += far * exposure
