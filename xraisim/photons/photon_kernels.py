"""The fused loop that draws exposures: rotate, bound, look up, Poisson; see ``source``.

Philox counters: (block, stream, shot low, shot high). An exposure has the streams from ``slot``·2²⁴
on: 0 holds the gaps of the pixels looked up one by one, 1 those between the events of the thinned
ones, 2 + p the draws of pixel p alone. So a shot depends on its number and the key alone.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.philox import philox4x32, unit_interval
from xraisim.photons.brick_kernels import fetch_ahead, place, spline
from xraisim.photons.spline_kernels import BLOCK_BITS
from xraisim.photons.process_kernels import GAPS, TICKS, next_gap, scatter
from xraisim.photons.thinning_kernels import (
    CHUNK,
    bound_pixels,
    locate_blocks,
    piece,
    select_bounded,
    select_enveloped,
)

_SLOT_BITS = 24
_BLOCK_EDGE = 1 << BLOCK_BITS
_AHEAD = 16  # look-ups between asking for memory and using it
_BATCH = 32  # exposures that share scratch arrays
_BRIGHT = np.float32(10)  # expected photons from which rejection beats counting them one by one
_END = np.iinfo(np.int32).max  # after the last pixel of a list


class Scratch(NamedTuple):
    """Arrays that exposures are drawn in one after another.

    Per pixel: ``block`` and ``bound`` (``thinning_kernels``); ``total`` per chunk of them. Per
    look-up, bright pixels first: ``where`` (the pixel), ``offset``, ``mean`` (λ), ``point`` and
    ``brick``. ``kept``: pixels of events. Per bright pixel: ``photons``, and λ as a ``length``.
    ``event`` and ``left``: what :func:`scatter` lists.
    """

    block: np.ndarray
    bound: np.ndarray
    total: np.ndarray
    where: np.ndarray
    offset: np.ndarray
    mean: np.ndarray
    point: np.ndarray
    brick: np.ndarray
    kept: np.ndarray
    photons: np.ndarray
    length: np.ndarray
    event: np.ndarray
    left: np.ndarray


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
def _look_up(scratch, found, lookup, R, screen, weight):
    """Write λ of the listed pixels; ask for a look-up's memory some look-ups ahead."""
    s0, s1, s2, gain = screen.s[0], screen.s[1], screen.s[2], screen.gain
    where, mean, brick, along = scratch.where, scratch.mean, scratch.brick, lookup.along
    x, y, z, centre = scratch.point[0], scratch.point[1], scratch.point[2], lookup.centre
    a, b, c, d, e, f, g, h, i = R[0], R[1], R[2], R[3], R[4], R[5], R[6], R[7], R[8]
    for j in range(found):
        p = np.uint32(where[j])
        x[j], y[j], z[j], mean[j] = s0[p], s1[p], s2[p], weight * gain[p]
    for j in range(found):
        u, v, w = x[j], y[j], z[j]
        brick[j], x[j], y[j], z[j] = place(
            a * u + d * v + g * w + centre,
            b * u + e * v + h * w + centre,
            c * u + f * v + i * w + centre,
            along,
        )
    for j in range(found):
        fetch_ahead(lookup.bricks, brick[min(j + _AHEAD, found - 1)], along)
        mean[j] *= spline(lookup.bricks, brick[j], x[j], y[j], z[j], along)


@njit(cache=True)
def _keep(scratch, first, found):
    """List the pixels of the events from ``first`` on that fall within λ; return how many."""
    where, offset, mean, kept = scratch.where, scratch.offset, scratch.mean, scratch.kept
    some = 0
    for event in range(first, found):
        kept[np.uint32(some)] = where[event]
        some += int(offset[event] < mean[event])
    kept[some] = _END
    return some


@njit(cache=True)
def _count(scratch, lit, stream, low, high, k0, k1):
    """Draw the photons of the ``lit`` bright pixels; list those that have some; return how many.

    They share a Poisson process of rate λ_p on each pixel in turn; where λ is large, one draw by
    rejection instead.
    """
    where, mean, photons, length = scratch.where, scratch.mean, scratch.photons, scratch.length
    for j in range(lit):
        photons[j], length[j] = 0, np.int64(mean[j] * TICKS) if mean[j] < _BRIGHT else 0
    events = scatter(scratch.event, scratch.left, length[:lit], stream, low, high, k0, k1)
    for i in range(events):
        photons[scratch.event[i]] += 1
    some = 0
    for j in range(lit):
        p = where[j]
        if mean[j] >= _BRIGHT:
            photons[j] = poisson_large(float(mean[j]), stream + 2 + p, low, high, k0, k1)
        where[some], photons[some] = p, photons[j]
        some += int(photons[j] > 0)
    where[some] = _END
    return some


@njit(cache=True)
def _merge(pixel, count, flat, scratch, entries):
    """Write bright pixels and kept events as entries, ascending; return how many there are.

    ``entries``: bright pixels and events together.
    """
    where, photons, kept = scratch.where, scratch.photons, scratch.kept
    i, j, row, last = np.uint32(0), np.uint32(0), 0, -1
    for _ in range(entries):
        dim = kept[j] < where[i]
        p = min(kept[j], where[i])
        more = 1 if dim else photons[i]
        j += np.uint32(dim)
        i += np.uint32(not dim)
        row += int(p != last)
        if row <= len(pixel):
            count[row - 1] = more + (count[row - 1] if p == last else 0)
            pixel[row - 1] = flat[p]
        last = p
    return row


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
def _scratch(pixels):
    """Return room for more events than there are once in 10⁵⁰ exposures."""
    room, most = 2 * pixels + 1024, 11 * pixels + 1024
    return Scratch(
        block=np.empty(pixels, np.int32),
        bound=np.empty(pixels, np.float32),
        total=np.empty(pixels // CHUNK, np.int64),
        where=np.empty(room, np.int32),
        offset=np.empty(room, np.float32),
        mean=np.empty(room, np.float32),
        point=np.empty((3, room), np.float32),
        brick=np.empty(room, np.int32),
        kept=np.empty(room, np.int32),
        photons=np.empty(pixels, np.int32),
        length=np.empty(pixels, np.int64),
        event=np.empty(most, np.int32),
        left=np.empty(most, np.int64),
    )


@njit(cache=True)
def _draw_some(some, lookup, screen, exposures, k0, k1, pixel, count, length):
    """Draw exposures ``some``, one by one in the same scratch arrays."""
    s, gain, scratch = screen.s, screen.gain, _scratch(len(screen.flat))
    where, offset = scratch.where, scratch.offset
    block_centre = (lookup.centre + np.float32(0.5)) / np.float32(_BLOCK_EDGE)
    for i in some:
        row, shot = exposures.row[i], exposures.shot[i]
        low, high = np.uint32(shot & 0xFFFFFFFF), np.uint32(shot >> 32)
        stream, weight = exposures.slot[i] << _SLOT_BITS, exposures.weight[i]
        R = exposures.R[i] * lookup.inverse
        to_blocks = R / np.float32(_BLOCK_EDGE)
        if exposures.enveloped[i]:
            lit = 0
            found = select_enveloped(
                where, offset, lookup, screen, to_blocks, weight, block_centre,
                stream + 1, low, high, k0, k1,
            )  # fmt: skip
        else:
            locate_blocks(scratch.block, lookup.blocks, to_blocks, block_centre, s)
            lit = bound_pixels(
                scratch.bound, scratch.total, where, scratch.block, lookup.code,
                lookup.ceiling * weight, gain,
            )  # fmt: skip
            found = lit + select_bounded(
                where[lit:], offset[lit:], scratch.left, scratch.bound, scratch.total,
                stream + 1, low, high, k0, k1,
            )  # fmt: skip
        _look_up(scratch, found, lookup, R, screen, weight)
        entries = _keep(scratch, lit, found)
        entries += _count(scratch, lit, stream, low, high, k0, k1)
        length[row] = _merge(pixel[row], count[row], screen.flat, scratch, entries)


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
    gaps, at, entries, last, y = np.empty(GAPS, np.int64), 0, 0, -1, 0.0
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
