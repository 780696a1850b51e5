"""How well patterns fit the volume at their poses: moments of the log-likelihood."""

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled
from xraisim.core.kernels.likelihood import best_fluence, exposed, lay_out
from xraisim.core.kernels.sampling import in_voxels, room

_TINY = np.float32(1e-12)


@compiled(fast=True, parallel=True)
def goodness(V, G, R, s, gain, b, inverse, offsets, pixel, count, has_background):
    """Return misfits, unexplained shares and fluences [n] of patterns at poses R [n, 3, 3]."""
    n, P = R.shape[0], s.shape[1]
    misfit, unexplained = np.empty(n, np.float64), np.empty(n, np.float64)
    fluence = np.empty(n, np.float64)
    for i in prange(n):
        w, k = np.empty(P, np.float32), np.empty(P, np.float32)
        corner, f = room()
        total = lay_out(pixel, count, offsets[i], offsets[i + 1], k)
        exposure = exposed(V, G, in_voxels(R[i], inverse), s, gain, w, corner, f)
        fluence[i] = best_fluence(w, b, k, total, exposure, has_background)
        misfit[i], unexplained[i] = _residual(w, b, np.float32(fluence[i]), k)
    return misfit, unexplained, fluence


@compiled(fast=True)
def _residual(w, b, phi, k):
    """Return the weighted χ² beyond its mean, in standard deviations and as a share of signal²."""
    one, two = np.float32(1), np.float32(2)
    beyond = variance = signal = fitted = information = 0.0
    for p in range(len(w)):
        rate = phi * w[p] + b[p] + _TINY
        weight = one / (one + two * rate)
        difference = k[p] - rate
        beyond += (difference * difference - rate) * weight
        variance += rate * weight
        signal += phi * w[p] * phi * w[p] * weight
        fitted += w[p] * w[p] * weight
        information += w[p] * w[p] / rate
    if phi <= 0:
        return 0.0, 0.0
    beyond += fitted / information
    return beyond / np.sqrt(variance), beyond / signal
