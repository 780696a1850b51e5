"""Merging: what patterns add to the sums of photons and exposure."""

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled
from xraisim.core.kernels.likelihood import lay_out
from xraisim.core.kernels.sampling import STRIP, in_voxels, located, room, scatter_pairs


@compiled(fast=True)
def _weighed(k, exposure, gain, b, typical, phi, weight, has_background):
    """Turn the counts of a pattern into what it adds, and fill the exposure that it adds."""
    for p in range(len(k)):
        exposure[p] = weight * (phi * gain[p])
        k[p] *= weight
    if not has_background:
        return
    for p in range(len(k)):
        if b[p] > 0:
            lit = phi * gain[p] * typical[p]
            share = lit / (lit + b[p])
            k[p] = share * (k[p] - weight * b[p])
            exposure[p] *= share


@compiled(fast=True, parallel=True)
def accumulate(
    G, R, s, gain, b, inverse, offsets, pixel, count, has_background, phi, weight, typical, parts
):
    """Return partial photon and exposure sums [parts, G³, 2] of patterns at poses R [n, 3, 3].

    ``weight`` [n] multiplies both sums of a pattern; those of weight 0 cost nothing. Background is
    subtracted, and a pixel with some weighs as much as its photons tell of an intensity
    ``typical`` [P].
    """
    n, P = R.shape[0], s.shape[1]
    out = np.zeros((parts, G * G * G * 2), np.float32)
    for part in prange(parts):
        k, exposure = np.empty(P, np.float32), np.empty(P, np.float32)
        corner, f = room()
        for i in range(part, n, parts):
            if weight[i] == 0:
                continue
            lay_out(pixel, count, offsets[i], offsets[i + 1], k)
            _weighed(k, exposure, gain, b, typical, phi[i], weight[i], has_background)
            t = in_voxels(R[i], inverse)
            for first in range(0, P, STRIP):
                last = min(first + STRIP, P)
                at, fx, fy, fz = located(t, s, first, last, G, corner, f)
                scatter_pairs(out[part], G, at, fx, fy, fz, k[first:last], exposure[first:last])
    return out.reshape(parts, G * G * G, 2)
