"""The fused loop that draws patterns: rotate, look up, Poisson; see :mod:`xraisim.photons`.

Philox counters: (block, stream, pattern low, pattern high). Stream 0 holds the gaps of the pixels
looked up one by one, stream 1 the gaps and acceptances of the thinned pixels, stream 2 + k the draw
of bright pixel k. So a pattern depends on its number and the key alone.
"""

import math

import numpy as np
from numba import njit, prange

from xraisim.core.kernels.philox import philox4x32, unit_interval

_DRAWS = 64  # uniforms made at a time, so that the generator's loop vectorises
_BRIGHT = 10.0  # expected photons from which rejection beats counting them one by one


@njit(inline="always", fastmath=True)
def spline(V, R, s0, s1, s2, inverse, centre, G):
    """Return max(0, quadratic B-spline of the flat coefficients at Rᵀ s)."""
    x = (R[0, 0] * s0 + R[1, 0] * s1 + R[2, 0] * s2) * inverse + centre
    y = (R[0, 1] * s0 + R[1, 1] * s1 + R[2, 1] * s2) * inverse + centre
    z = (R[0, 2] * s0 + R[1, 2] * s1 + R[2, 2] * s2) * inverse + centre
    half, flat = np.float32(0.5), np.float32(0.75)
    ix, iy, iz = int(x + half), int(y + half), int(z + half)
    tx, ty, tz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
    wx = (half * (half - tx) ** 2, flat - tx * tx, half * (half + tx) ** 2)
    wy = (half * (half - ty) ** 2, flat - ty * ty, half * (half + ty) ** 2)
    a, b, c = half * (half - tz) ** 2, flat - tz * tz, half * (half + tz) ** 2
    base = ((ix - 1) * G + iy - 1) * G + iz - 1
    total = np.float32(0)
    for i in range(3):
        plane = np.float32(0)
        for j in range(3):
            # Unsigned indices spare the test for negative ones.
            at = np.uintp(base + (i * G + j) * G)
            row = V[at] * a + V[np.uintp(at + np.uintp(1))] * b + V[np.uintp(at + np.uintp(2))] * c
            plane += wy[j] * row
        total += wx[i] * plane
    return max(total, np.float32(0))


@njit(inline="always")
def _fill(draws, block, stream, low, high, k0, k1):
    """Fill ``draws`` with uniforms from consecutive blocks."""
    for b in range(_DRAWS // 4):
        words = philox4x32(np.uint32(block + b), np.uint32(stream), low, high, k0, k1)
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


@njit(cache=True, fastmath=True)
def _draw_direct(counts, V, G, R, inverse, phi, s, gain, background, place, low, high, k0, k1):
    """Add the photons of pixels that are looked up one by one.

    A Poisson process of rate λ_p on each pixel in turn: a photon whenever the running sum of λ
    passes the next unit-exponential gap.
    """
    centre = np.float32(G // 2)
    draws = np.empty(_DRAWS)
    _fill(draws, 0, 0, low, high, k0, k1)
    block, at = _DRAWS // 4, 1
    need = -math.log(draws[0])
    for p in range(len(gain)):
        value = spline(V, R, s[p, 0], s[p, 1], s[p, 2], inverse, centre, G)
        mean = phi * gain[p] * value + background[p]
        if mean >= _BRIGHT:
            counts[place[p]] += poisson_large(float(mean), 2 + place[p], low, high, k0, k1)
            continue
        need -= mean
        while need <= 0:
            counts[place[p]] += 1
            if at == _DRAWS:
                _fill(draws, block, 0, low, high, k0, k1)
                block, at = block + _DRAWS // 4, 0
            need -= math.log(draws[at])
            at += 1


@njit(cache=True, fastmath=True)
def _draw_thinned(
    counts, V, G, R, inverse, phi, s, gain, background, ceiling, place, low, high, k0, k1
):
    """Add the photons of dim pixels: candidates at a rate no less than λ, kept with λ/rate.

    Thinning of a Poisson process (Lewis & Shedler 1979) is exact; the look-up is paid for
    candidates only.
    """
    centre = np.float32(G // 2)
    draws = np.empty(_DRAWS)
    _fill(draws, 0, 1, low, high, k0, k1)
    block, at = _DRAWS // 4, 1
    need = -math.log(draws[0])
    for p in range(len(gain)):
        rate = phi * ceiling[p] + background[p]
        need -= rate
        if need > 0:
            continue
        value = spline(V, R, s[p, 0], s[p, 1], s[p, 2], inverse, centre, G)
        mean = phi * gain[p] * value + background[p]
        while need <= 0:
            if draws[at] * rate < mean:
                counts[place[p]] += 1
            if at + 1 == _DRAWS:
                _fill(draws, block, 1, low, high, k0, k1)
                block, at = block + _DRAWS // 4, -1
            need -= math.log(draws[at + 1])
            at += 2


@njit(parallel=True, cache=True)
def draw_patterns(
    V, G, R, inverse, phi, direct, thinned, flat, first, k0, k1, pixel, count, length
):
    """Draw patterns ``first + i`` into ``pixel``/``count`` [n, capacity]; ``length`` counts entries.

    ``direct`` and ``thinned`` are tuples of per-pixel arrays: s, gain, background, (ceiling,)
    place; ``flat`` [P] maps a place to the detector's flat index. A length above the capacity
    means that the row is cut and must be drawn again with more room.
    """
    for i in prange(R.shape[0]):
        low = np.uint32((first + i) & 0xFFFFFFFF)
        high = np.uint32((first + i) >> 32)
        counts = np.zeros(len(flat), np.int32)
        s, gain, background, place = direct
        _draw_direct(
            counts, V, G, R[i], inverse, phi[i], s, gain, background, place, low, high, k0, k1
        )
        s, gain, background, ceiling, place = thinned
        _draw_thinned(
            counts, V, G, R[i], inverse, phi[i], s, gain, background, ceiling, place,
            low, high, k0, k1,
        )  # fmt: skip
        entries = 0
        for k in range(len(flat)):
            if counts[k] > 0:
                if entries < pixel.shape[1]:
                    pixel[i, entries] = flat[k]
                    count[i, entries] = counts[k]
                entries += 1
        length[i] = entries


@njit(parallel=True, cache=True)
def pack_rows(pixel, count, offsets, packed_pixel, packed_count):
    """Copy the filled part of each row to its place in the packed arrays."""
    for i in prange(pixel.shape[0]):
        start, entries = offsets[i], offsets[i + 1] - offsets[i]
        for k in range(entries):
            packed_pixel[start + k] = pixel[i, k]
            packed_count[start + k] = count[i, k]
