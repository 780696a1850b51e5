"""numba loops that find the few pixels worth a look-up: two ways to bound λ, thinned alike.

Events of a Poisson process of rate 1 fall on the pixels' bounds, laid end to end. An event at a
distance d from the start of its pixel's piece is a photon if d < λ (thinning, Lewis & Shedler
1979, exact for any bound ≥ λ). The bounds are either those of the blocks of voxels that the
pixels fall into, which costs a little for every pixel, or one envelope for all orientations, which
costs only for its events but has more of them.
"""

import numpy as np
from numba import njit

from xraisim.photons.process_kernels import GAPS, TICKS, next_gap, scatter

CHUNK = 16  # pixels whose bounds are added up, so that most are passed over together
_THIN_BELOW = np.float32(0.8)  # bounds on λ from which a look-up is cheaper than thinning


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
def bound_pixels(bound, total, bright, block, code, ceiling, gain):
    """Write every dim pixel's bound added to those before it in its chunk; list the bright ones.

    ``total``: the chunks' sums, in ticks. Returns how many ``bright`` ones there are; their bounds
    count as 0.
    """
    lit = 0
    for chunk in range(len(total)):
        start, stop = CHUNK * chunk, CHUNK * (chunk + 1)
        so_far, largest = np.float32(0), np.float32(0)
        for p in range(start, stop):
            own = gain[p] * ceiling[code[np.uint32(block[p])]]
            so_far += own
            largest = max(largest, own)
            bound[p] = so_far
        if largest >= _THIN_BELOW:
            so_far = np.float32(0)
            for p in range(start, stop):
                own = gain[p] * ceiling[code[np.uint32(block[p])]]
                bright[lit] = p
                lit += int(own >= _THIN_BELOW)
                so_far += own if own < _THIN_BELOW else np.float32(0)
                bound[p] = so_far
        total[chunk] = np.int64(so_far * TICKS)
    return lit


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
def select_bounded(where, offset, left, bound, total, stream, low, high, k0, k1):
    """List the events that fall on the dim pixels' bounds; return how many.

    A pixel is listed once per event, with the event's ``offset`` d in photons. Random numbers are
    those of ``stream``; ``left`` is scratch.
    """
    found = scatter(where, left, total, stream, low, high, k0, k1)
    for event in range(found):
        first, need = CHUNK * where[event], np.float32(left[event] / TICKS)
        p = _first_above(bound, first, need)
        before = bound[np.uint32(max(p - 1, first))] if p > first else np.float32(0)
        where[event], offset[event] = p, need - before
    return found


@njit(cache=True)
def select_enveloped(where, offset, lookup, screen, R, weight, centre, stream, low, high, k0, k1):
    """List the events of the envelope that the blocks' ceilings do not already rule out.

    ``R`` and ``centre`` as in :func:`locate_blocks`, the rest as in :func:`select_bounded`.
    """
    s, gain, running = screen.s, screen.gain, lookup.running
    code, ceiling, blocks = lookup.code, lookup.ceiling, lookup.blocks
    gaps, at, found, y = np.empty(GAPS, np.int64), 0, 0, 0.0
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
