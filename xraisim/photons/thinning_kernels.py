"""numba loops that find the few pixels worth a look-up: two ways to bound λ, thinned alike.

Events of a Poisson process of rate 1 fall on the pixels' bounds, laid end to end. An event at a
distance d from the start of its pixel's piece is a photon if d < λ (thinning, Lewis & Shedler
1979, exact for any bound ≥ λ). The bounds are either those of the blocks of voxels that the
pixels fall into, which costs a little for every pixel, or one envelope for all orientations, which
costs only for its events but has more of them.
"""

import math

import numpy as np
from numba import njit

from xraisim.core.kernels.philox import philox4x32

GAPS = 64  # random numbers made at a time, so that the generator's loop vectorises
CHUNK = 16  # pixels whose bounds are added up, so that most are passed over together
_LN_2, _ROOT = math.log(2), math.sqrt(2)
_MANTISSA, _ONE = np.uint64((1 << 52) - 1), np.uint64(1023 << 52)  # of a float64
_NEVER_PASSED = np.finfo(np.float32).max
_THIN_BELOW = np.float32(0.8)  # bounds on λ from which a look-up is cheaper than thinning


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
    """Fill ``gaps`` with unit-exponential numbers of the ``batch``-th batch of the stream.

    Made ahead of their use, so that no branch has to wait for a logarithm.
    """
    words = np.empty(GAPS, np.uint32)
    for b in range(GAPS // 4):
        counter = np.uint32(batch * (GAPS // 4) + b)
        four = philox4x32(counter, np.uint32(stream), low, high, k0, k1)
        words[4 * b], words[4 * b + 1], words[4 * b + 2], words[4 * b + 3] = four
    for i in range(GAPS):
        gaps[i] = _minus_log(words[i])


@njit(cache=True)
def next_gap(gaps, at, stream, low, high, k0, k1):
    """Return the exponential number ``at`` of the stream, and ``at`` + 1; ``gaps`` is scratch."""
    place = at & (GAPS - 1)
    if place == 0:
        fill(gaps, at // GAPS, stream, low, high, k0, k1)
    return gaps[place], at + 1


@njit(cache=True, fastmath=True)
def locate_blocks(block, blocks, R, centre, s):
    """Write the number of the block of voxels that each pixel falls into; no branches, no calls.

    ``R`` is the rotation times blocks per Å⁻¹, ``centre`` the place of s = 0, half a voxel on.
    """
    s0, s1, s2 = s[0], s[1], s[2]
    a, b, c, d, e, f, g, h, i = R[0], R[1], R[2], R[3], R[4], R[5], R[6], R[7], R[8]
    for p in range(len(block)):
        x = a * s0[p] + d * s1[p] + g * s2[p] + centre
        y = b * s0[p] + e * s1[p] + h * s2[p] + centre
        z = c * s0[p] + f * s1[p] + i * s2[p] + centre
        block[p] = (np.int32(x) * blocks + np.int32(y)) * blocks + np.int32(z)


@njit(cache=True, fastmath=True)
def bound_pixels(bound, total, block, code, ceiling, gain):
    """Write every pixel's bound added to those before it in its chunk, and every chunk's total.

    A chunk with a bright pixel gets the bounds themselves, and a total that no event passes over.
    """
    for chunk in range(len(total)):
        start, stop = CHUNK * chunk, CHUNK * (chunk + 1)
        so_far, largest = np.float32(0), np.float32(0)
        for p in range(start, stop):
            own = gain[p] * ceiling[code[np.uint32(block[p])]]
            so_far += own
            largest = max(largest, own)
            bound[p] = so_far
        total[chunk] = so_far
        if largest >= _THIN_BELOW:
            total[chunk] = _NEVER_PASSED
            for p in range(start, stop):
                bound[p] = gain[p] * ceiling[code[np.uint32(block[p])]]


@njit(cache=True)
def _first_above(bound, first, need):
    """Return the first pixel of a chunk whose running sum is above ``need``; no branches."""
    p = np.uint32(first)
    p += np.uint32(8) * np.uint32(bound[np.uint32(p + np.uint32(7))] <= need)
    p += np.uint32(4) * np.uint32(bound[np.uint32(p + np.uint32(3))] <= need)
    p += np.uint32(2) * np.uint32(bound[np.uint32(p + np.uint32(1))] <= need)
    p += np.uint32(bound[p] <= need)
    return np.int64(p)


@njit(cache=True)
def select_bounded(where, offset, bound, total, stream, low, high, k0, k1):
    """List the pixels that need a look-up; return how many.

    A pixel is listed once per event, with the event's ``offset`` d in photons. Bright pixels are
    always listed, with offset −1. Random numbers are those of ``stream``.
    """
    gaps, at, found = np.empty(GAPS), 0, 0
    need, at = next_gap(gaps, at, stream, low, high, k0, k1)
    for chunk in range(len(total)):
        whole, first = total[chunk], CHUNK * chunk
        if need >= whole:
            need -= whole
            continue
        if whole < _NEVER_PASSED:
            while need < whole:
                p = _first_above(bound, first, need)
                where[found] = p
                offset[found] = need - (bound[p - 1] if p > first else np.float32(0))
                found += 1
                gap, at = next_gap(gaps, at, stream, low, high, k0, k1)
                need += gap
            need -= whole
        else:
            for p in range(first, first + CHUNK):
                if bound[p] >= _THIN_BELOW:
                    where[found], offset[found] = p, -1
                    found += 1
                    continue
                while need < bound[p]:
                    where[found], offset[found] = p, need
                    gap, at = next_gap(gaps, at, stream, low, high, k0, k1)
                    need, found = need + gap, found + 1
                need -= bound[p]
    return found


@njit(cache=True)
def select_enveloped(where, offset, lookup, screen, R, weight, centre, stream, low, high, k0, k1):
    """List the events of the envelope that the blocks' ceilings do not already rule out.

    ``R`` and ``centre`` as in :func:`locate_blocks`, the rest as in :func:`select_bounded`.
    """
    s, gain, running = screen.s, screen.gain, lookup.running
    code, ceiling, blocks = lookup.code, lookup.ceiling, lookup.blocks
    gaps, at, found, y = np.empty(GAPS), 0, 0, 0.0
    while True:
        gap, at = next_gap(gaps, at, stream, low, high, k0, k1)
        y += gap / weight
        if y >= running[-1]:
            return found
        p = piece(running, lookup.guide, y)
        distance = np.float32(max(y - running[p], 0.0) * weight)
        x = np.int32(R[0] * s[0, p] + R[3] * s[1, p] + R[6] * s[2, p] + centre)
        u = np.int32(R[1] * s[0, p] + R[4] * s[1, p] + R[7] * s[2, p] + centre)
        v = np.int32(R[2] * s[0, p] + R[5] * s[1, p] + R[8] * s[2, p] + centre)
        bound = gain[p] * ceiling[code[np.uint32((x * blocks + u) * blocks + v)]]
        if distance < weight * bound:
            where[found], offset[found] = p, distance
            found += 1


@njit(inline="always")
def piece(running, guide, y):
    """Return p with ``running[p]`` ≤ y < ``running[p + 1]``; ``guide`` says where to start.

    ``guide`` holds, for equal steps along ``running``, the first pixel that may lie there.
    """
    p = guide[min(int(y / running[-1] * len(guide)), len(guide) - 1)]
    while running[p + 1] <= y:
        p += 1
    return p
