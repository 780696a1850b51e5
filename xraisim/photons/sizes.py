"""Sizes of particles of one kind, relative to the median: lognormal, cut so that they have an end.

A homogeneous body of a times the size scatters a³ F(a s), so one volume serves for all sizes.
"""

import math

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.special import ndtr, ndtri

from xraisim.core.random import uniforms

_CUT = 3.0  # σ of ln(size)


def largest_size(spread: float) -> float:
    """Return the largest size that can be drawn; ``spread``: the standard deviation of ln(size)."""
    return math.exp(_CUT * spread)


def draw_sizes(
    spread: float | Float[np.ndarray, "n"], seed: int, indices: Int[np.ndarray, "n"], stream: str
) -> Float64[np.ndarray, "n"]:
    """Return the sizes of the particles of shots ``indices``: exp of a Gaussian cut at 3σ."""
    tail = ndtr(-_CUT)
    normal = ndtri(tail + (1 - 2 * tail) * uniforms(seed, stream, indices, 1)[:, 0])
    return np.exp(spread * normal)
