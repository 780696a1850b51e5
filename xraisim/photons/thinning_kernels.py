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

from xraisim.core.kernels.philox import philox4x32, unit_interval

GAPS = 64  # random numbers made at a time, so that the generator's loop vectorises
CHUNK = 16  # pixels whose bounds are added up, so that most are passed over together
_THIN_BELOW = np.float32(0.8)  # bounds on λ from which a look-up is cheaper than thinning


@njit(cache=True)
def fill(gaps, block, stream, low, high, k0, k1):
    """Fill ``gaps`` with unit-exponential numbers of the ``block``-th batch of the stream.

    Made ahead of their use, so that no branch has to wait for a logarithm.
    """
    stream = np.uint32(stream)
    for b in range(GAPS // 4):
        counter = np.uint32(block * (GAPS // 4) + b)
        words = philox4x32(counter, stream, low, high, k0, k1)
        gaps[4 * b] = unit_interval(words[0])
        gaps[4 * b + 1] = unit_interval(words[1])
        gaps[4 * b + 2] = unit_interval(words[2])
        gaps[4 * b + 3] = unit_interval(words[3])
    for i in range(len(gaps)):
        gaps[i] = -math.log(gaps[i])


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
    """Write every pixel's bound, and the total of every chunk, from the ceilings' codes."""
    for chunk in range(len(total)):
        even, odd = np.float32(0), np.float32(0)
        for p in range(CHUNK * chunk, CHUNK * (chunk + 1), 2):
            a = gain[p] * ceiling[code[np.uint32(block[p])]]
            b = gain[p + 1] * ceiling[code[np.uint32(block[p + 1])]]
            bound[p], bound[p + 1] = a, b
            even, odd = even + a, odd + b
        total[chunk] = even + odd


@njit(cache=True)
def select_bounded(where, offset, bound, total, stream, low, high, k0, k1):
    """List the pixels that need a look-up; return how many.

    A pixel is listed once per event, with the event's ``offset`` d in photons. Bright pixels are
    always listed, with offset −1. Random numbers are those of ``stream``.
    """
    gaps = np.empty(GAPS)
    fill(gaps, 0, stream, low, high, k0, k1)
    block, at, found = 1, 1, 0
    need = gaps[0]
    for chunk in range(len(total)):
        if total[chunk] < _THIN_BELOW and need >= total[chunk]:
            need -= total[chunk]
            continue
        for p in range(CHUNK * chunk, CHUNK * (chunk + 1)):
            if bound[p] >= _THIN_BELOW:
                where[found], offset[found] = p, -1
                found += 1
                continue
            while need < bound[p]:
                where[found], offset[found] = p, need
                found += 1
                if at == GAPS:
                    fill(gaps, block, stream, low, high, k0, k1)
                    block, at = block + 1, 0
                need += gaps[at]
                at += 1
            need -= bound[p]
    return found


@njit(cache=True)
def select_enveloped(where, offset, lookup, screen, R, weight, centre, stream, low, high, k0, k1):
    """List the events of the envelope that the blocks' ceilings do not already rule out.

    ``R`` and ``centre`` as in :func:`locate_blocks`, the rest as in :func:`select_bounded`.
    """
    s, gain, running = screen.s, screen.gain, lookup.running
    code, ceiling, blocks = lookup.code, lookup.ceiling, lookup.blocks
    gaps = np.empty(GAPS)
    block, at, found = 0, GAPS, 0
    y = 0.0
    while True:
        if at == GAPS:
            fill(gaps, block, stream, low, high, k0, k1)
            block, at = block + 1, 0
        y += gaps[at] / weight
        at += 1
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
