"""How well patterns fit the volume at their poses: moments of the log-likelihood."""

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.poses import profiled
from xraisim.core.kernels.slices import in_voxels, locate, trilinear

_TINY = np.float32(1e-12)


@njit(parallel=True, fastmath=True, cache=True)
def misfit(V, G, R, s, gain, b, inverse, offsets, pixel, count, has_background):
    """Return misfits [n] and fluences [n] of patterns at poses R [n, 3, 3]."""
    n, P = R.shape[0], s.shape[1]
    found = np.empty(n, np.float64)
    fluence = np.empty(n, np.float64)
    for i in prange(n):
        w = np.empty(P, np.float32)
        t = in_voxels(R[i], inverse)
        exposure = 0.0
        for p in range(P):
            base, fx, fy, fz = locate(t, s, p, G)
            w[p] = gain[p] * trilinear(V, base, fx, fy, fz, G) + _TINY
            exposure += w[p]
        start, stop = offsets[i], offsets[i + 1]
        _, phi = profiled(w, b, pixel, count, start, stop, exposure, P, has_background)
        fluence[i] = phi
        found[i] = _shortfall(w, b, phi, pixel, count, start, stop)
    return found, fluence


@njit(inline="always", fastmath=True)
def _shortfall(w, b, fluence, pixel, count, start, stop):
    """Return (expected − found) / standard deviation of Σ k log λ, the fluence being fitted."""
    phi = np.float32(fluence)
    expected = square = along = information = score = found = 0.0
    for p in range(len(w)):
        rate = phi * w[p] + b[p] + _TINY
        log = np.log(rate)
        expected += rate * log
        square += rate * log * log
        along += w[p] * log
        information += w[p] * w[p] / rate
        score -= w[p]
    for e in range(start, stop):
        p = pixel[e]
        if p < len(w):
            rate = phi * w[p] + b[p] + _TINY
            found += count[e] * np.log(rate)
            score += count[e] * w[p] / rate
    # Insensitive, to first order, to how well the fluence has been fitted.
    short = expected - found + score * along / information
    variance = square - along * along / information
    return short / np.sqrt(max(variance, 1e-12)) if fluence > 0 else 0.0
