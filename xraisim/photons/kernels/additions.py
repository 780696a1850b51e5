"""Background and extra photons, drawn beside the exposures: their λ needs no look-up."""

import numpy as np
from numba import prange

from xraisim.core.kernels.compiled import compiled
from xraisim.photons.kernels.poisson import GAPS, Random, next_gap, of_shot, piece_at
from xraisim.photons.kernels.rows import Rows


@compiled(parallel=True, nogil=True)
def draw_addition(
    flat: np.ndarray,
    running: np.ndarray,
    guide: np.ndarray,
    shot: np.ndarray,
    stream: int,
    strength: np.ndarray,
    row: np.ndarray,
    k0: np.uint32,
    k1: np.uint32,
    rows: Rows,
) -> None:
    """Draw the background of shots ``shot`` into rows ``row``, at usable pixels ``flat``.

    ``running`` [P + 1]: its running sum in photons at strength 1, with the ``guide`` to it.
    """
    for i in prange(len(shot)):
        _draw_events(
            rows, row[i], flat, running, guide, strength[i], of_shot(shot[i], k0, k1), stream
        )


@compiled
def _draw_events(
    rows: Rows,
    row: int,
    flat: np.ndarray,
    running: np.ndarray,
    guide: np.ndarray,
    strength: float,
    random: Random,
    stream: int,
) -> None:
    """Take every event of a process of rate ``strength`` on ``running`` for a photon."""
    pixel, count = rows.pixel[row], rows.photons[row]
    gaps, at, entries, last, y = np.empty(GAPS, np.int64), 0, 0, -1, 0.0
    while True:
        gap, at = next_gap(gaps, at, random, stream)
        y += gap / strength
        if y >= running[-1]:
            rows.length[row] = entries
            return
        p = piece_at(running, guide, y)
        entries += int(p != last)
        if entries <= len(pixel):
            count[entries - 1] = 1 + (count[entries - 1] if p == last else 0)
            pixel[entries - 1] = flat[p]
        last = p
