"""Compiled loops for the processor: all that happens between two transforms, in one pass.

Each has its plain torch form in :mod:`.projections` or :mod:`.iterate`, against which it is tested.
They run on one thread and release Python's lock, so that several starts run side by side.
``floor`` is the least density allowed: 0 with positivity, −∞ without.
"""

import numba
import numpy as np

# NaN and infinity keep their meaning, and division has no check for zero, which would keep a loop
# from being vectorised. So would a second index: complex numbers come as flat pairs.
_compiled = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "afn", "nsz"}
)
_TINY = np.float32(1e-30)
_ONE = np.float32(1.0)


@_compiled
def impose(
    factors: np.ndarray, amplitude: np.ndarray, weight: np.ndarray
) -> None:  # pragma: no cover
    """F ← F (1 + w (√I/|F| − 1)); ``factors`` float32 [2 n], the others [n]."""
    for i in range(len(amplitude)):
        x, y = factors[2 * i], factors[2 * i + 1]
        ratio = amplitude[i] / np.sqrt(x * x + y * y + _TINY)
        scale = _ONE + weight[i] * (ratio - _ONE)
        factors[2 * i] = x * scale
        factors[2 * i + 1] = y * scale


@_compiled
def impose_with_background(
    factors: np.ndarray,
    amplitude: np.ndarray,
    weight: np.ndarray,
    shell: np.ndarray,
    level: np.ndarray,
    sums: np.ndarray,
) -> None:  # pragma: no cover
    """F ← F (1 + w (ρ − 1)), ρ = √I/√(|F|² + b²); ``sums`` [2, shells] gain Σ w ρ and Σ w."""
    for i in range(len(amplitude)):
        x, y, b = factors[2 * i], factors[2 * i + 1], level[shell[i]]
        ratio = amplitude[i] / np.sqrt(x * x + y * y + b * b + _TINY)
        scale = _ONE + weight[i] * (ratio - _ONE)
        sums[0, shell[i]] += weight[i] * ratio
        sums[1, shell[i]] += weight[i]
        factors[2 * i] = x * scale
        factors[2 * i + 1] = y * scale


@_compiled
def error_reduction(
    density: np.ndarray, projected: np.ndarray, support: np.ndarray, floor: float
) -> None:  # pragma: no cover
    """X ← P_S p."""
    for i in range(len(density)):
        density[i] = max(projected[i], floor) if support[i] else np.float32(0)


@_compiled
def hybrid_input_output(
    density: np.ndarray, projected: np.ndarray, support: np.ndarray, beta: float, floor: float
) -> None:  # pragma: no cover
    """X ← p where it obeys the constraints, x − β p elsewhere."""
    for i in range(len(density)):
        p = projected[i]
        density[i] = p if support[i] and p > floor else density[i] - beta * p


@_compiled
def relaxed_reflections(
    density: np.ndarray, projected: np.ndarray, support: np.ndarray, beta: float, floor: float
) -> None:  # pragma: no cover
    """X ← β (P_S(2p − x) + x) + (1 − 2β) p."""
    rest = _ONE - beta - beta
    for i in range(len(density)):
        x, p = density[i], projected[i]
        inside = max(p + p - x, floor) if support[i] else np.float32(0)
        density[i] = beta * (inside + x) + rest * p


@_compiled
def difference_map(
    density: np.ndarray,
    projected: np.ndarray,
    other: np.ndarray,
    support: np.ndarray,
    beta: float,
    floor: float,
) -> None:  # pragma: no cover
    """X ← x + β (P_S((1 + 1/β) p − x/β) − other)."""
    back = _ONE / beta
    ahead = _ONE + back
    for i in range(len(density)):
        x = density[i]
        inside = max(ahead * projected[i] - back * x, floor) if support[i] else np.float32(0)
        density[i] = x + beta * (inside - other[i])


@_compiled
def support_estimate(
    density: np.ndarray, support: np.ndarray, beta: float, floor: float, out: np.ndarray
) -> None:  # pragma: no cover
    """Out ← (1 − 1/β) P_S x + x/β."""
    back = _ONE / beta
    for i in range(len(density)):
        x = density[i]
        inside = max(x, floor) if support[i] else np.float32(0)
        out[i] = (_ONE - back) * inside + back * x
