"""The fused loop that draws exposures: rotate, bound, look up, Poisson; see ``source``.

Philox counters: (block, stream, shot low, shot high). An exposure has the streams from ``slot``·2²⁴
on: 0 holds the gaps of the pixels looked up one by one, 1 those between the events of the thinned
ones, 2 + p the draws of pixel p alone. So a shot depends on its number and the key alone.
"""

import math

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.philox import philox4x32, unit_interval
from xraisim.photons.brick_kernels import fetch_ahead, spline
from xraisim.photons.spline_kernels import BLOCK_BITS
from xraisim.photons.thinning_kernels import (
    CHUNK,
    GAPS,
    bound_pixels,
    locate_blocks,
    next_gap,
    piece,
    select_bounded,
    select_enveloped,
)

_SLOT_BITS = 24
_BLOCK_EDGE = 1 << BLOCK_BITS
_AHEAD = 16  # look-ups between asking for memory and using it
_BATCH = 32  # exposures that share scratch arrays
_BRIGHT = 10.0  # expected photons from which rejection beats counting them one by one


@njit(cache=True)
def poisson_large(mean, stream, low, high, k0, k1):
    """Draw a Poisson number of mean ≥ 10 by transformed rejection (Hörmann 1993, PTRS)."""
    log_mean = math.log(mean)
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    log_inverse_alpha = math.log(1.1239 + 1.1328 / (b - 3.4))
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    block = 0
    while True:
        words = philox4x32(np.uint32(block), np.uint32(stream), low, high, k0, k1)
        block += 1
        u, v = unit_interval(words[0]) - 0.5, unit_interval(words[1])
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= squeeze:
            return int(k)
        if k < 0 or (us < 0.013 and v > us):
            continue
        bound = k * log_mean - mean - math.lgamma(k + 1.0)
        if math.log(v) + log_inverse_alpha - math.log(a / (us * us) + b) <= bound:
            return int(k)


@njit(cache=True, fastmath=True)
def _look_up(mean, point, where, found, lookup, R, screen, weight):
    """Write λ of the listed pixels; ask for a look-up's memory some look-ups ahead.

    ``point`` [3, room] is scratch.
    """
    s0, s1, s2, gain = screen.s[0], screen.s[1], screen.s[2], screen.gain
    x, y, z = point[0], point[1], point[2]
    for j in range(found):
        p = np.uint32(where[j])
        x[j] = R[0] * s0[p] + R[3] * s1[p] + R[6] * s2[p] + lookup.centre
        y[j] = R[1] * s0[p] + R[4] * s1[p] + R[7] * s2[p] + lookup.centre
        z[j] = R[2] * s0[p] + R[5] * s1[p] + R[8] * s2[p] + lookup.centre
    for j in range(found):
        k = min(j + _AHEAD, found - 1)
        fetch_ahead(lookup.bricks, lookup.starts, x[k], y[k], z[k])
        value = spline(lookup.bricks, lookup.starts, x[j], y[j], z[j])
        mean[j] = weight * gain[np.uint32(where[j])] * value


@njit(cache=True)
def _count(pixel, count, flat, where, offset, mean, found, stream, low, high, k0, k1):
    """Draw the photons of the listed pixels into a row of entries; return how many there are.

    Events of dim pixels are kept or dropped. The others share a Poisson process of rate λ_p on
    each pixel in turn: a photon whenever the running sum of λ passes the next unit-exponential
    gap; where λ is large, one draw by rejection instead.
    """
    gaps, entries, last = np.empty(GAPS), 0, -1
    need, at = next_gap(gaps, 0, stream, low, high, k0, k1)
    for j in range(found):
        p, expected, photons = where[j], mean[j], 0
        if offset[j] >= 0:
            photons = int(offset[j] < expected)
        elif expected >= _BRIGHT:
            photons = poisson_large(float(expected), stream + 2 + p, low, high, k0, k1)
        else:
            need -= expected
            while need <= 0:
                gap, at = next_gap(gaps, at, stream, low, high, k0, k1)
                need, photons = need + gap, photons + 1
        if photons > 0:
            entries += int(p != last)
            if entries <= len(pixel):
                count[entries - 1] = photons + (count[entries - 1] if p == last else 0)
                pixel[entries - 1] = flat[p]
            last = p
    return entries


@njit(parallel=True, nogil=True, cache=True)
def draw_exposures(lookup, screen, exposures, k0, k1, pixel, count, length):
    """Draw exposures of one volume into rows of ``pixel`` and ``count`` [rows, capacity].

    ``length`` [rows] gets the number of entries; where that exceeds the capacity the row is cut
    and must be drawn again with more room.
    """
    exposed = len(exposures.shot)
    for batch in prange(-(-exposed // _BATCH)):
        some = range(batch * _BATCH, min((batch + 1) * _BATCH, exposed))
        _draw_some(some, lookup, screen, exposures, k0, k1, pixel, count, length)


@njit(cache=True)
def _draw_some(some, lookup, screen, exposures, k0, k1, pixel, count, length):
    """Draw exposures ``some``, one by one in the same scratch arrays."""
    s, gain, flat = screen.s, screen.gain, screen.flat
    pixels = len(flat)
    at, bound = np.empty(pixels, np.int32), np.empty(pixels, np.float32)
    total = np.empty(pixels // CHUNK, np.float32)
    room = 2 * pixels + 1024  # more events than that: once in 10⁵⁰ exposures
    where, offset = np.empty(room, np.int32), np.empty(room, np.float32)
    mean, point = np.empty(room, np.float32), np.empty((3, room), np.float32)
    block_centre = (lookup.centre + np.float32(0.5)) / np.float32(_BLOCK_EDGE)
    for i in some:
        row, shot = exposures.row[i], exposures.shot[i]
        low, high = np.uint32(shot & 0xFFFFFFFF), np.uint32(shot >> 32)
        stream, weight = exposures.slot[i] << _SLOT_BITS, exposures.weight[i]
        R = exposures.R[i] * lookup.inverse
        to_blocks = R / np.float32(_BLOCK_EDGE)
        if exposures.enveloped[i]:
            found = select_enveloped(
                where, offset, lookup, screen, to_blocks, weight, block_centre,
                stream + 1, low, high, k0, k1,
            )  # fmt: skip
        else:
            locate_blocks(at, lookup.blocks, to_blocks, block_centre, s)
            bound_pixels(bound, total, at, lookup.code, lookup.ceiling * weight, gain)
            found = select_bounded(where, offset, bound, total, stream + 1, low, high, k0, k1)
        _look_up(mean, point, where, found, lookup, R, screen, weight)
        length[row] = _count(
            pixel[row], count[row], flat, where, offset, mean, found, stream, low, high, k0, k1
        )


@njit(parallel=True, nogil=True, cache=True)
def draw_background(screen, background, shot, slot, strength, row, k0, k1, pixel, count, length):
    """Draw the background of shots ``shot`` into rows, as :func:`draw_exposures` does.

    ``background``: its running sum [P + 1] in photons at strength 1, and the guide to it.
    """
    running, guide = background
    for i in prange(len(shot)):
        low, high = np.uint32(shot[i] & 0xFFFFFFFF), np.uint32(shot[i] >> 32)
        length[row[i]] = _count_events(
            pixel[row[i]], count[row[i]], screen.flat, running, guide, strength[i],
            slot << _SLOT_BITS, low, high, k0, k1,
        )  # fmt: skip


@njit(cache=True)
def _count_events(pixel, count, flat, running, guide, strength, stream, low, high, k0, k1):
    """Take every event on ``running`` for a photon; return how many entries they make."""
    gaps, at, entries, last, y = np.empty(GAPS), 0, 0, -1, 0.0
    while True:
        gap, at = next_gap(gaps, at, stream, low, high, k0, k1)
        y += gap / strength
        if y >= running[-1]:
            return entries
        p = piece(running, guide, y)
        entries += int(p != last)
        if entries <= len(pixel):
            count[entries - 1] = 1 + (count[entries - 1] if p == last else 0)
            pixel[entries - 1] = flat[p]
        last = p
