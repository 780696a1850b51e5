"""Poisson numbers and processes from counters, and thinning, which spares most look-ups.

Events of a Poisson process of rate 1 fall on the pixels' bounds, laid end to end. An event at a
distance d from the start of its pixel's piece is a photon if d < λ (thinning, Lewis & Shedler
1979, exact for any bound ≥ λ). The bounds are either those of the blocks of voxels that the pixels
fall into, which costs a little for every pixel, or one envelope for all orientations, which costs
only for its events but has more of them.

Positions are in ticks of 2⁻³², int64, so that a comparison is a subtraction and a shift: a branch
on a random number is mispredicted half of the time, and costs more than the arithmetic.
"""

import math
from typing import NamedTuple

import numpy as np

from xraisim.core.kernels.compiled import compiled
from xraisim.core.kernels.philox import philox4x32, unit_interval
from xraisim.photons.kernels.lookup import BLOCK_EDGE

GAPS = 64  # random numbers made at a time, so that the generator's loop vectorises
TICKS = 2.0**32  # in an event's mean distance from the next
CHUNK = 16  # pixels whose bounds are added up, so that most are passed over together
_BRIGHT_BOUND = np.float32(0.8)  # on λ, from which a look-up is cheaper than thinning
_LN_2, _ROOT = math.log(2), math.sqrt(2)
_MANTISSA, _ONE = np.uint64((1 << 52) - 1), np.uint64(1023 << 52)  # of a float64
_TICK_IS_LAST_BIT = 2.0**20  # float64 from here to 2²¹ are a tick apart


class Random(NamedTuple):
    """The random numbers of one shot: words of its number and of the key, uint32.

    Word w of stream t is that of the Philox counter (w // 4, t, low, high), whoever asks for it.
    """

    low: np.uint32
    high: np.uint32
    k0: np.uint32
    k1: np.uint32


@compiled(inline=True)
def of_shot(shot, k0, k1):
    """Return the random numbers of a shot, int64."""
    return Random(np.uint32(shot & 0xFFFFFFFF), np.uint32(shot >> 32), k0, k1)


@compiled(inline=True)
def _four_words(random, stream, block):
    """Return four words of a stream, uint32."""
    return philox4x32(
        np.uint32(block), np.uint32(stream), random.low, random.high, random.k0, random.k1
    )


@compiled
def poisson_large(mean, random, stream):
    """Draw a Poisson number of mean ≥ 10 by transformed rejection (Hörmann 1993, PTRS)."""
    log_mean = math.log(mean)
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    log_inverse_alpha = math.log(1.1239 + 1.1328 / (b - 3.4))
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    block = 0
    while True:
        words = _four_words(random, stream, block)
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


@compiled(inline=True)
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


@compiled(fast=True)
def _fill_gaps(gaps, batch, random, stream):
    """Fill ``gaps`` with exponential numbers, in ticks, of the ``batch``-th batch of the stream.

    Made ahead of their use, so that no branch has to wait for a logarithm.
    """
    words = np.empty(GAPS, np.uint32)
    for b in range(GAPS // 4):
        four = _four_words(random, stream, batch * (GAPS // 4) + b)
        words[4 * b], words[4 * b + 1], words[4 * b + 2], words[4 * b + 3] = four
    for i in range(GAPS):
        in_ticks = np.float64(_minus_log(words[i]) + _TICK_IS_LAST_BIT).view(np.uint64) & _MANTISSA
        gaps[i] = np.int64(in_ticks)


@compiled
def next_gap(gaps, at, random, stream):
    """Return exponential number ``at`` of the stream, and ``at`` + 1; ``gaps`` is scratch."""
    place = at & (GAPS - 1)
    if place == 0:
        _fill_gaps(gaps, at // GAPS, random, stream)
    return gaps[place] / TICKS, at + 1


@compiled
def scatter(piece, left, lengths, random, stream):
    """Lay pieces end to end and list the events on them; return how many there are.

    ``lengths``: int64, ticks. ``piece``, ``left``: on which piece each event is, and how far from
    its start; with room for one more. Every step either passes a piece or lists an event.
    """
    gaps, made = np.empty(GAPS, np.int64), GAPS
    _fill_gaps(gaps, 0, random, stream)
    need, at, now, pieces = gaps[0], 1, 0, len(lengths)
    while now < pieces:
        if at == made:
            _fill_gaps(gaps, made // GAPS, random, stream)
            made += GAPS
        length = lengths[np.uint32(now)]
        piece[np.uint32(at - 1)], left[np.uint32(at - 1)] = now, need
        on_it = (need - length) >> 63  # −1 if the event is on this piece, else 0
        need += (on_it & (gaps[np.uint32(at & (GAPS - 1))] + length)) - length
        at -= on_it
        now += 1 + on_it
    return at - 1


@compiled
def candidates(scratch, table, usable, R, weight, enveloped, random, stream):
    """List the pixels to look λ up for: bright ones, then one for every event on a bound.

    ``R`` is the rotation times voxels per Å⁻¹; ``enveloped``: the bound is the envelope. Returns
    how many bright ones there are, and how many in all.
    """
    where, distance = scratch.where, scratch.distance
    to_blocks = R / np.float32(BLOCK_EDGE)
    centre = (table.centre + np.float32(0.5)) / np.float32(BLOCK_EDGE)
    if enveloped:
        return 0, scatter_on_envelope(
            where, distance, table, usable, to_blocks, weight, centre, random, stream
        )
    locate_blocks(scratch.block, table.blocks, to_blocks, centre, usable.s)
    bright = bound_pixels(
        scratch.bound, scratch.total, where, scratch.block, table.code, table.ceiling * weight,
        usable.gain,
    )  # fmt: skip
    return bright, bright + scatter_on_bounds(
        where[bright:], distance[bright:], scratch.left, scratch.bound, scratch.total, random,
        stream,
    )  # fmt: skip


@compiled(fast=True)
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


@compiled(fast=True)
def bound_pixels(bound, total, bright, block, code, ceiling, gain):
    """Write every dim pixel's bound added to those before it in its chunk; list the bright ones.

    ``total``: the chunks' sums, in ticks. Returns how many ``bright`` ones there are; their bounds
    count as 0.
    """
    found = 0
    for chunk in range(len(total)):
        start, stop = CHUNK * chunk, CHUNK * (chunk + 1)
        so_far, largest = np.float32(0), np.float32(0)
        for p in range(start, stop):
            own = gain[p] * ceiling[code[np.uint32(block[p])]]
            so_far += own
            largest = max(largest, own)
            bound[p] = so_far
        if largest >= _BRIGHT_BOUND:
            so_far = np.float32(0)
            for p in range(start, stop):
                own = gain[p] * ceiling[code[np.uint32(block[p])]]
                bright[found] = p
                found += int(own >= _BRIGHT_BOUND)
                so_far += own if own < _BRIGHT_BOUND else np.float32(0)
                bound[p] = so_far
        total[chunk] = np.int64(so_far * TICKS)
    return found


@compiled
def scatter_on_bounds(pixel, distance, left, bound, total, random, stream):
    """List the events that fall on the dim pixels' bounds (``bound_pixels``); return how many.

    A pixel is listed once per event, with the event's ``distance`` d in photons; ``left`` is
    scratch.
    """
    events = scatter(pixel, left, total, random, stream)
    for event in range(events):
        first, need = CHUNK * pixel[event], np.float32(left[event] / TICKS)
        p = _first_above(bound, first, need)
        before = bound[np.uint32(max(p - 1, first))] if p > first else np.float32(0)
        pixel[event], distance[event] = p, need - before
    return events


@compiled
def _first_above(bound, first, need):
    """Return the first pixel of a chunk whose running sum is above ``need``; no branches."""
    p = np.uint32(first)
    p += np.uint32(8) * np.uint32(bound[np.uint32(p + np.uint32(7))] <= need)
    p += np.uint32(4) * np.uint32(bound[np.uint32(p + np.uint32(3))] <= need)
    p += np.uint32(2) * np.uint32(bound[np.uint32(p + np.uint32(1))] <= need)
    p += np.uint32(bound[p] <= need)
    return np.int64(p)


@compiled
def scatter_on_envelope(pixel, distance, table, usable, R, weight, centre, random, stream):
    """List the events on the envelope that the blocks' ceilings do not already rule out.

    ``R`` and ``centre`` as in :func:`locate_blocks`, the rest as in :func:`scatter_on_bounds`.
    """
    s, gain, running = usable.s, usable.gain, table.running
    code, ceiling, blocks = table.code, table.ceiling, table.blocks
    gaps, at, events, y = np.empty(GAPS, np.int64), 0, 0, 0.0
    while True:
        gap, at = next_gap(gaps, at, random, stream)
        y += gap / weight
        if y >= running[-1]:
            return events
        p = piece_at(running, table.guide, y)
        d = np.float32(max(y - running[p], 0.0) * weight)
        x = np.int32(R[0] * s[0, p] + R[3] * s[1, p] + R[6] * s[2, p] + centre)
        u = np.int32(R[1] * s[0, p] + R[4] * s[1, p] + R[7] * s[2, p] + centre)
        v = np.int32(R[2] * s[0, p] + R[5] * s[1, p] + R[8] * s[2, p] + centre)
        bound = gain[p] * ceiling[code[np.uint32((x * blocks + u) * blocks + v)]]
        if d < weight * bound:
            pixel[events], distance[events] = p, d
            events += 1


@compiled(inline=True)
def piece_at(running, guide, y):
    """Return p with ``running[p]`` ≤ y < ``running[p + 1]``; ``guide`` says where to start.

    ``guide`` holds, for equal steps along ``running``, the first pixel that may lie there.
    """
    p = guide[min(int(y / running[-1] * len(guide)), len(guide) - 1)]
    while running[p + 1] <= y:
        p += 1
    return p
