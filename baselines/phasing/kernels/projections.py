"""Loops of :mod:`baselines.phasing.projections`: a measured amplitude imposed on factors.

They run on one thread, so that several starts run side by side. A second index would keep a loop
from becoming vector instructions: complex numbers come as flat pairs.
"""

import numpy as np

from xraisim.core.kernels.compiled import compiled

_TINY = np.float32(1e-30)
_ONE = np.float32(1.0)


@compiled(fast=True, ordered=True, nogil=True)
def impose(factors, amplitude, weight):
    """F ← F (1 + w (√I/|F| − 1)); ``factors`` float32 [2 n], the others [n]."""
    for i in range(len(amplitude)):
        x, y = factors[2 * i], factors[2 * i + 1]
        ratio = amplitude[i] / np.sqrt(x * x + y * y + _TINY)
        scale = _ONE + weight[i] * (ratio - _ONE)
        factors[2 * i] = x * scale
        factors[2 * i + 1] = y * scale


@compiled(fast=True, ordered=True, nogil=True)
def impose_with_background(factors, amplitude, weight, shell, level, sums):
    """F ← F (1 + w (ρ − 1)), ρ = √I/√(|F|² + b²); ``sums`` [2, shells] gain Σ w ρ and Σ w."""
    for i in range(len(amplitude)):
        x, y, b = factors[2 * i], factors[2 * i + 1], level[shell[i]]
        ratio = amplitude[i] / np.sqrt(x * x + y * y + b * b + _TINY)
        scale = _ONE + weight[i] * (ratio - _ONE)
        sums[0, shell[i]] += weight[i] * ratio
        sums[1, shell[i]] += weight[i]
        factors[2 * i] = x * scale
        factors[2 * i + 1] = y * scale
