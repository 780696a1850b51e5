"""The fused loop that draws patterns: rotate, look up, Poisson; see :mod:`xraisim.photons`.

Philox counters: (block, stream, pattern low, pattern high). Stream 0 holds the gaps of the pixels
looked up one by one, stream 1 those between the events of the thinned ones, stream 2 + p the
draws of pixel p alone. So a pattern depends on its number and the key alone.
"""

import math

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.philox import philox4x32, unit_interval
from xraisim.spline_kernels import bound_pixels, spline, voxel

_DRAWS = 64  # uniforms made at a time, so that the generator's loop vectorises
_THIN_BELOW = np.float32(0.8)  # bounds on λ from which a look-up is cheaper than thinning
_BRIGHT = 10.0  # expected photons from which rejection beats counting them one by one


@njit(cache=True)
def _fill(draws, block, stream, low, high, k0, k1):
    """Fill ``draws`` with uniforms of the ``block``-th batch of the stream."""
    stream = np.uint32(stream)
    for b in range(_DRAWS // 4):
        counter = np.uint32(block * (_DRAWS // 4) + b)
        words = philox4x32(counter, stream, low, high, k0, k1)
        draws[4 * b] = unit_interval(words[0])
        draws[4 * b + 1] = unit_interval(words[1])
        draws[4 * b + 2] = unit_interval(words[2])
        draws[4 * b + 3] = unit_interval(words[3])


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


@njit(cache=True)
def _room(bound):
    """Return a length that ``_select`` exceeds once in 10²² patterns: mean + 10σ."""
    total = 0.0
    for p in range(len(bound)):
        total += 1.0 if bound[p] >= _THIN_BELOW else float(bound[p])
    return int(total + 10 * math.sqrt(total)) + 64


@njit(cache=True)
def _select(where, offset, bound, low, high, k0, k1):
    """List the pixels that need a look-up; return how many.

    The bounds of the dim pixels are laid end to end, and events of a Poisson process of rate 1
    fall on them. A pixel is listed once per event, with the event's distance from the start of
    its piece: the event is a photon if that is less than λ (thinning, Lewis & Shedler 1979,
    exact). Bright pixels are always listed, with offset −1.
    """
    draws = np.empty(_DRAWS)
    _fill(draws, 0, 1, low, high, k0, k1)
    block, at, found = 1, 1, 0
    need = -math.log(draws[0])
    for p in range(len(bound)):
        if bound[p] >= _THIN_BELOW:
            where[found], offset[found] = p, -1
            found += int(found < len(where) - 1)
            continue
        while need < bound[p]:
            where[found], offset[found] = p, need
            found += int(found < len(where) - 1)
            if at == _DRAWS:
                _fill(draws, block, 1, low, high, k0, k1)
                block, at = block + 1, 0
            need -= math.log(draws[at])
            at += 1
        need -= bound[p]
    return found


@njit(cache=True, fastmath=True)
def _look_up(mean, where, found, V, G, R, inverse, phi, s, gain, background):
    """Write λ of the listed pixels: a loop of its own, so that the memory accesses overlap."""
    centre = np.float32(G // 2)
    for j in range(found):
        p = where[j]
        x, y, z = voxel(R, s[0, p], s[1, p], s[2, p], inverse, centre)
        mean[j] = phi * gain[p] * spline(V, G, x, y, z) + background[p]


@njit(cache=True)
def _count(pixel, count, flat, where, offset, mean, found, low, high, k0, k1):
    """Draw the photons of the listed pixels into a row of entries; return how many there are.

    Events of dim pixels are kept or dropped. The others share a Poisson process of rate λ_p on
    each pixel in turn: a photon whenever the running sum of λ passes the next unit-exponential
    gap; where λ is large, one draw by rejection instead.
    """
    draws = np.empty(_DRAWS)
    _fill(draws, 0, 0, low, high, k0, k1)
    block, at, entries, last = 1, 1, 0, -1
    need = -math.log(draws[0])
    for j in range(found):
        p, expected, photons = where[j], mean[j], 0
        if offset[j] >= 0:
            photons = int(offset[j] < expected)
        elif expected >= _BRIGHT:
            photons = poisson_large(float(expected), 2 + p, low, high, k0, k1)
        else:
            need -= expected
        while need <= 0:
            photons += 1
            if at == _DRAWS:
                _fill(draws, block, 0, low, high, k0, k1)
                block, at = block + 1, 0
            need -= math.log(draws[at])
            at += 1
        if photons > 0:
            entries += int(p != last)
            if entries <= len(pixel):
                count[entries - 1] = photons + (count[entries - 1] if p == last else 0)
                pixel[entries - 1] = flat[p]
            last = p
    return entries


@njit(parallel=True, cache=True)
def draw_patterns(
    V, G, ceiling, blocks, R, inverse, phi, s, gain, background, flat, first, k0, k1,
    pixel, count, length,
):  # fmt: skip
    """Draw patterns ``first + i`` into ``pixel`` and ``count`` [n, capacity].

    ``V`` flat coefficients of a G³ cube, ``ceiling`` flat bounds of its blocks; ``R`` [n, 9],
    ``phi`` [n]; ``s`` [3, P], ``gain`` and ``background`` [P] of the usable pixels, ``flat`` [P]
    their index on the detector. ``length`` [n] gets the number of entries; where that exceeds the
    capacity the row is cut and must be drawn again with more room.
    """
    centre = np.float32(G // 2)
    for i in prange(R.shape[0]):
        low = np.uint32((first + i) & 0xFFFFFFFF)
        high = np.uint32((first + i) >> 32)
        bound = np.empty(len(flat), np.float32)
        bound_pixels(bound, ceiling, blocks, R[i], inverse, centre, phi[i], s, gain, background)
        where = np.empty(_room(bound), np.int32)
        offset, mean = np.empty(len(where), np.float32), np.empty(len(where), np.float32)
        found = _select(where, offset, bound, low, high, k0, k1)
        _look_up(mean, where, found, V, G, R[i], inverse, phi[i], s, gain, background)
        length[i] = _count(pixel[i], count[i], flat, where, offset, mean, found, low, high, k0, k1)


@njit(parallel=True, cache=True)
def pack_rows(pixel, count, offsets, packed_pixel, packed_count):
    """Copy the filled part of each row to its place in the packed arrays."""
    for i in prange(pixel.shape[0]):
        start, entries = offsets[i], offsets[i + 1] - offsets[i]
        for k in range(entries):
            packed_pixel[start + k] = pixel[i, k]
            packed_count[start + k] = count[i, k]
