"""numba loops of a Poisson process of rate 1: its gaps, and on which pieces its events fall.

Positions are in ticks of 2⁻³², int64, so that a comparison is a subtraction and a shift: a branch
on a random number is mispredicted half of the time, and costs more than the arithmetic.
"""

import math

import numpy as np
from numba import njit

from xraisim.core.kernels.philox import philox4x32

GAPS = 64  # random numbers made at a time, so that the generator's loop vectorises
TICKS = 2.0**32  # in an event's mean distance from the next
_LN_2, _ROOT = math.log(2), math.sqrt(2)
_MANTISSA, _ONE = np.uint64((1 << 52) - 1), np.uint64(1023 << 52)  # of a float64
_TICK_IS_LAST_BIT = 2.0**20  # float64 from here to 2²¹ are a tick apart


@njit(inline="always")
def _minus_log(word):
    """Return −ln((word + ½)/2³²) of a uint32, within 2·10⁻¹¹, by sums and products alone.

    So that a loop over words vectorises; ln m = ln √2 + 2 artanh((m − √2)/(m + √2)) for 1 ≤ m < 2,
    and 1054.5 is the exponent's bias of 1023, plus 32, less the ½ of ln √2.
    """
    bits = np.float64(np.float64(word) + 0.5).view(np.uint64)
    exponent = np.int32(bits >> np.uint64(52))
    m = np.uint64((bits & _MANTISSA) | _ONE).view(np.float64)
    f = (m - _ROOT) / (m + _ROOT)
    g = f * f
    series = 2 + g * (2 / 3 + g * (2 / 5 + g * (2 / 7 + g * (2 / 9 + g * (2 / 11)))))
    return (1054.5 - exponent) * _LN_2 - f * series


# Without numpy's error model a test for division by zero would keep the loop from vectorising.
@njit(cache=True, fastmath=True, error_model="numpy")
def fill(gaps, batch, stream, low, high, k0, k1):
    """Fill ``gaps`` with exponential numbers, in ticks, of the ``batch``-th batch of the stream.

    Made ahead of their use, so that no branch has to wait for a logarithm.
    """
    words = np.empty(GAPS, np.uint32)
    for b in range(GAPS // 4):
        counter = np.uint32(batch * (GAPS // 4) + b)
        four = philox4x32(counter, np.uint32(stream), low, high, k0, k1)
        words[4 * b], words[4 * b + 1], words[4 * b + 2], words[4 * b + 3] = four
    for i in range(GAPS):
        in_ticks = np.float64(_minus_log(words[i]) + _TICK_IS_LAST_BIT).view(np.uint64) & _MANTISSA
        gaps[i] = np.int64(in_ticks)


@njit(cache=True)
def next_gap(gaps, at, stream, low, high, k0, k1):
    """Return exponential number ``at`` of the stream, and ``at`` + 1; ``gaps`` is scratch."""
    place = at & (GAPS - 1)
    if place == 0:
        fill(gaps, at // GAPS, stream, low, high, k0, k1)
    return gaps[place] / TICKS, at + 1


@njit(cache=True)
def scatter(piece, left, lengths, stream, low, high, k0, k1):
    """Lay pieces end to end and list the events on them; return how many there are.

    ``lengths``: int64, ticks. ``piece``, ``left``: on which piece each event is, and how far from
    its start; with room for one more. Every step either passes a piece or lists an event.
    """
    gaps, made = np.empty(GAPS, np.int64), GAPS
    fill(gaps, 0, stream, low, high, k0, k1)
    need, at, now, pieces = gaps[0], 1, 0, len(lengths)
    while now < pieces:
        if at == made:
            fill(gaps, made // GAPS, stream, low, high, k0, k1)
            made += GAPS
        length = lengths[np.uint32(now)]
        piece[np.uint32(at - 1)], left[np.uint32(at - 1)] = now, need
        on_it = (need - length) >> 63  # −1 if the event is on this piece, else 0
        need += (on_it & (gaps[np.uint32(at & (GAPS - 1))] + length)) - length
        at -= on_it
        now += 1 + on_it
    return at - 1
