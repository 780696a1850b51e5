"""The tempered posterior of patterns over columns of orientations, given as halves of LL.

``even``, ``odd`` [J, n, K]: see :mod:`baselines.emc.correlate`; ``prior`` [n or 1, K]: log prior of
the columns, −inf for none. x = β·LL + log prior is what everything below is about. Several tiles of
columns share one state; ``first`` is the number of a tile's first column.
"""

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled


@compiled(fast=True, parallel=True)
def find_peaks(even, odd, prior, beta, first, peak, best):
    """Raise ``peak`` [n] to the highest x, and set ``best`` [n, 2] to its column and angle."""
    J, n, K = even.shape
    shared = prior.shape[0] == 1
    for i in prange(n):
        log_prior = prior[0] if shared else prior[i]
        for j in range(J):
            e, o = even[j, i], odd[j, i]
            top = peak[i]
            for k in range(K):
                top = max(top, beta * (e[k] + abs(o[k])) + log_prior[k])
            if top > peak[i]:
                peak[i] = top
                for k in range(K):
                    if beta * (e[k] + abs(o[k])) + log_prior[k] == top:
                        best[i, 0], best[i, 1] = first + k, j if o[k] >= 0 else j + J
                        break


@compiled(fast=True, parallel=True)
def sum_weights(even, odd, prior, beta, lowest, peak, sums):
    """Add to ``sums`` [n, 4]: Σ eʸ, Σ y eʸ, Σ LL eʸ and how many y = x − peak exceed ``lowest``."""
    J, n, K = even.shape
    shared = prior.shape[0] == 1
    for i in prange(n):
        log_prior = prior[0] if shared else prior[i]
        mass, moment, energy, kept = 0.0, 0.0, 0.0, 0
        for j in range(J):
            e, o = even[j, i], odd[j, i]
            for k in range(K):
                base = log_prior[k] - peak[i]
                if beta * (e[k] + abs(o[k])) + base < lowest:
                    continue
                for side in range(2):
                    likelihood = e[k] + o[k] if side == 0 else e[k] - o[k]
                    y = beta * likelihood + base
                    if y >= lowest:
                        weight = np.exp(y)
                        mass += weight
                        moment += y * weight
                        energy += likelihood * weight
                        kept += 1
        sums[i, 0] += mass
        sums[i, 1] += moment
        sums[i, 2] += energy
        sums[i, 3] += kept


@compiled(fast=True, parallel=True)
def list_entries(even, odd, prior, beta, lowest, peak, mass, first, cursor, column, angle, weight):
    """Write the entries that :func:`sum_weights` counted, normalised, from ``cursor`` [n] on."""
    J, n, K = even.shape
    shared = prior.shape[0] == 1
    for i in prange(n):
        log_prior = prior[0] if shared else prior[i]
        at = cursor[i]
        for j in range(J):
            e, o = even[j, i], odd[j, i]
            for k in range(K):
                base = log_prior[k] - peak[i]
                if beta * (e[k] + abs(o[k])) + base < lowest:
                    continue
                for side in range(2):
                    y = beta * (e[k] + o[k] if side == 0 else e[k] - o[k]) + base
                    # Rounded in another loop than the count: one more must not find room.
                    if y >= lowest and at < len(column):
                        column[at] = first + k
                        angle[at] = j + side * J
                        weight[at] = np.exp(y) / mass[i]
                        at += 1
        cursor[i] = at


@compiled(fast=True, parallel=True)
def normalise(even, odd, prior, beta, lowest, peak, mass):
    """Overwrite the halves of LL by those of P: sum and difference of P half a turn apart."""
    J, n, K = even.shape
    shared = prior.shape[0] == 1
    for i in prange(n):
        log_prior = prior[0] if shared else prior[i]
        scale = np.float32(1 / mass[i])
        for j in range(J):
            e, o = even[j, i], odd[j, i]
            for k in range(K):
                base = log_prior[k] - peak[i]
                here, there = beta * (e[k] + o[k]) + base, beta * (e[k] - o[k]) + base
                p = np.exp(here) * scale if here >= lowest else np.float32(0)
                q = np.exp(there) * scale if there >= lowest else np.float32(0)
                e[k], o[k] = p + q, p - q
