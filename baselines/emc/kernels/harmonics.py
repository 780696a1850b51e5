"""Angular harmonics of photons, pattern by pattern."""

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled


@compiled(fast=True, parallel=True)
def photon_harmonics(
    offsets, pixel, value, inner, weight, cosine, sine, limits, order, start, first
):
    """Return packed rows [n, width] of Σ value·exp(i m ϕ) on the rings about each pixel.

    Entries of pattern i are ``offsets[i]:offsets[i+1]``; pixels beyond ``inner`` are left out.
    ``cosine``, ``sine`` [P, M+1] are of mϕ; ``order``, ``start``, ``first``: how rows are packed.
    The exposure ring stays zero.
    """
    n, P, rings = len(offsets) - 1, len(inner), len(limits)
    highest = cosine.shape[1] - 1
    last = len(order) - 1
    width = start[last] + 2 * (rings + 1 - first[last])
    out = np.zeros((n, width), np.float32)
    for i in prange(n):
        real = np.zeros((rings, highest + 1), np.float32)
        imag = np.zeros((rings, highest + 1), np.float32)
        for entry in range(offsets[i], offsets[i + 1]):
            p = pixel[entry]
            if p >= P:
                continue
            c, s = cosine[p], sine[p]
            for tap in range(weight.shape[1]):
                amount = weight[p, tap] * value[entry]
                q = inner[p] + tap
                a, b = real[q], imag[q]
                for m in range(limits[q] + 1):
                    a[m] += amount * c[m]
                    b[m] += amount * s[m]
        row = out[i]
        for number in range(len(order)):
            m, at = order[number], start[number]
            length = rings + 1 - first[number]
            for q in range(first[number], rings):
                row[at] = real[q, m]
                row[at + length] = imag[q, m]
                at += 1
    return out
