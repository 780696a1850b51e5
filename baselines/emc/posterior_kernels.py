"""The posterior of one row of log-likelihoods after another, each while it is in the cache."""

import numpy as np
from numba import njit, prange


@njit(parallel=True, fastmath=True, cache=True)
def normalise_rows(loglik, beta, lowest):
    """Overwrite log-likelihoods [n, R] by exp(β LL) normalised; drop exponents below ``lowest``.

    Returns per row: the best column, and as float64 [n, 4] its log-likelihood, Σ eˣ, Σ x eˣ and the
    number kept, with x = β (LL − best LL).
    """
    n, R = loglik.shape
    best = np.empty(n, np.int64)
    found = np.empty((n, 4))
    for i in prange(n):
        row = loglik[i]
        peak = row[0]
        for r in range(1, R):
            peak = max(peak, row[r])
        mass, moment, kept, where = 0.0, 0.0, 0, 0
        for r in range(R):
            x = beta * (row[r] - peak)
            if x >= lowest:
                weight = np.exp(x)
                mass += weight
                moment += x * weight
                kept += 1
                if x == 0:
                    where = r
                row[r] = weight
            else:
                row[r] = 0
        scale = np.float32(1 / mass)
        for r in range(R):
            row[r] *= scale
        best[i] = where
        found[i, 0], found[i, 1], found[i, 2], found[i, 3] = peak, mass, moment, kept
    return best, found
