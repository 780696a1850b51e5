"""Loop of :mod:`baselines.emc.correlate`: patterns and candidate templates, pair by pair."""

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled


@compiled(fast=True, parallel=True)
def correlate_candidates(rows, templates, candidate, start, rings, out):
    """Write X [M, 2, n, K] of patterns [n, W] and their candidate templates [n, K] (−1: none)."""
    n, K = candidate.shape
    M = len(start)
    for i in prange(n):
        row = rows[i]
        for k in range(K):
            d = candidate[i, k]
            if d < 0:
                for m in range(M):
                    out[m, 0, i, k], out[m, 1, i, k] = 0, 0
                continue
            template = templates[d]
            for m in range(M):
                at, length = start[m], rings[m]
                real, imag = np.float32(0), np.float32(0)
                for q in range(at, at + length):
                    re, im = row[q], row[q + length]
                    cr, ci = template[q], template[q + length]
                    real += re * cr + im * ci
                    imag += im * cr - re * ci
                out[m, 0, i, k], out[m, 1, i, k] = real, imag
