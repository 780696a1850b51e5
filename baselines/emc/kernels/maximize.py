"""Loop of :mod:`baselines.emc.maximize`: a sparse posterior's part in the sums of directions."""

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled


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
