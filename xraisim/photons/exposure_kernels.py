"""What is done with the pixels of an exposure that need a look-up: λ, photons, entries.

See ``photon_kernels`` for the random numbers. Where a choice falls at random, lists are shortened
by arithmetic rather than by branches, which would be mispredicted.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from xraisim.core.kernels.philox import philox4x32, unit_interval
from xraisim.photons.brick_kernels import fetch_ahead, place, spline
from xraisim.photons.process_kernels import TICKS, scatter
from xraisim.photons.thinning_kernels import CHUNK

_AHEAD = 16  # look-ups between asking for memory and using it
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
def make_scratch(pixels):
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
def look_up(scratch, found, lookup, R, screen, weight):
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
def keep_events(scratch, first, found):
    """List the pixels of the events from ``first`` on that fall within λ; return how many."""
    where, offset, mean, kept = scratch.where, scratch.offset, scratch.mean, scratch.kept
    some = 0
    for event in range(first, found):
        kept[np.uint32(some)] = where[event]
        some += int(offset[event] < mean[event])
    kept[some] = _END
    return some


@njit(cache=True)
def count_bright(scratch, lit, stream, low, high, k0, k1):
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
def merge_entries(pixel, count, flat, scratch, entries):
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
