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


@compiled(fast=True, parallel=True)
def spread_entries(group, pattern, angle, weight, direction, cosine, sine, rows, start, rings, out):
    """Add sparse entries, sorted by direction, to the templates' adjoint ``out`` [D, W].

    Entries ``group[g]:group[g+1]`` have the direction ``direction[g]``, and patterns one after
    another; ``cosine``, ``sine`` [A, M]: of mα, harmonics in packed order; ``rows`` [n, W]: the
    patterns; ``start``, ``rings`` [M]: how rows are packed.
    """
    M = len(start)
    for g in prange(len(direction)):
        target = out[direction[g]]
        c, s = np.empty(M, np.float32), np.empty(M, np.float32)
        entry = group[g]
        while entry < group[g + 1]:
            i = pattern[entry]
            c[:], s[:] = 0, 0
            while entry < group[g + 1] and pattern[entry] == i:
                a, w = angle[entry], weight[entry]
                for m in range(M):
                    c[m] += w * cosine[a, m]
                    s[m] += w * sine[a, m]
                entry += 1
            row = rows[i]
            for m in range(M):
                at, length = start[m], rings[m]
                cm, sm = c[m], s[m]
                for q in range(at, at + length):
                    re, im = row[q], row[q + length]
                    target[q] += cm * re + sm * im
                    target[q + length] += cm * im - sm * re


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
