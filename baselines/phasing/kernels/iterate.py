"""Loops of :mod:`baselines.phasing.iterate`: one step of each algorithm on flat densities.

They run on one thread, so that several starts run side by side. ``floor`` is the least density
allowed: 0 with positivity, −∞ without.
"""

import numpy as np

from xraisim.core.kernels.compiled import compiled

_ONE = np.float32(1.0)


@compiled(fast=True, ordered=True, nogil=True)
def error_reduction(density, projected, support, floor):
    """X ← P_S p."""
    for i in range(len(density)):
        density[i] = max(projected[i], floor) if support[i] else np.float32(0)


@compiled(fast=True, ordered=True, nogil=True)
def hybrid_input_output(density, projected, support, beta, floor):
    """X ← p where it obeys the constraints, x − β p elsewhere."""
    for i in range(len(density)):
        p = projected[i]
        density[i] = p if support[i] and p > floor else density[i] - beta * p


@compiled(fast=True, ordered=True, nogil=True)
def relaxed_reflections(density, projected, support, beta, floor):
    """X ← β (P_S(2p − x) + x) + (1 − 2β) p."""
    rest = _ONE - beta - beta
    for i in range(len(density)):
        x, p = density[i], projected[i]
        inside = max(p + p - x, floor) if support[i] else np.float32(0)
        density[i] = beta * (inside + x) + rest * p


@compiled(fast=True, ordered=True, nogil=True)
def difference_map(density, projected, other, support, beta, floor):
    """X ← x + β (P_S((1 + 1/β) p − x/β) − other)."""
    back = _ONE / beta
    ahead = _ONE + back
    for i in range(len(density)):
        x = density[i]
        inside = max(ahead * projected[i] - back * x, floor) if support[i] else np.float32(0)
        density[i] = x + beta * (inside - other[i])


@compiled(fast=True, ordered=True, nogil=True)
def support_estimate(density, support, beta, floor, out):
    """Out ← (1 − 1/β) P_S x + x/β."""
    back = _ONE / beta
    for i in range(len(density)):
        x = density[i]
        inside = max(x, floor) if support[i] else np.float32(0)
        out[i] = (_ONE - back) * inside + back * x
