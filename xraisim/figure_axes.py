"""What the pictures share: colours, and an axis of resolutions in Å above one of s in 1/Å."""

import numpy as np
from matplotlib.axes import Axes

# Okabe and Ito (2008): told apart by every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_TICKS_ANGSTROM = (1000, 500, 200, 100, 50, 30, 20, 15, 12, 10, 8, 6, 5, 4, 3, 2.5, 2, 1.5, 1)
_ROOM = 0.07  # of the axis between two labels


def resolution_ticks(low: float, high: float, room: float = _ROOM) -> list[float]:
    """Return round resolutions d in Å from ``low`` ≤ 1/d to ``high`` (Å⁻¹), finest first.

    ``room``: the least distance in 1/d between two of them, as a part of the range.
    """
    chosen: list[float] = []
    for tick in reversed(_TICKS_ANGSTROM):  # the fine end matters most
        gap = (1 / chosen[-1] if chosen else np.inf) - 1 / tick
        if low <= 1 / tick <= high and gap > room * (high - low):
            chosen.append(tick)
    return chosen


def resolution_axis(axes: Axes) -> None:
    """Add an axis of d = 1/s above ``axes``, whose horizontal axis is s in 1/Å and has limits."""
    low, high = axes.get_xlim()
    chosen = resolution_ticks(low, high)
    above = axes.twiny()
    above.set(xlim=(low, high), xticks=[1 / tick for tick in chosen])
    above.set_xticklabels([f"{tick:g}" for tick in chosen])
    above.set_xlabel("resolution d (Å)")
