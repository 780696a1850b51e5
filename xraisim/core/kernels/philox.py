"""Philox4x32-10, the counter-based generator of Salmon et al. (SC 2011), for numba loops."""

import numpy as np

from xraisim.core.kernels.compiled import compiled

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_TO_UNIT = 1.0 / 4294967296.0


@compiled(inline=True)
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Return four random uint32 for a 128-bit counter and a 64-bit key."""
    for _ in range(10):
        p0 = _M0 * np.uint64(c0)
        p1 = _M1 * np.uint64(c2)
        c0, c1, c2, c3 = (
            np.uint32(np.uint32(p1 >> _SHIFT) ^ c1 ^ k0),
            np.uint32(p1 & _LOW),
            np.uint32(np.uint32(p0 >> _SHIFT) ^ c3 ^ k1),
            np.uint32(p0 & _LOW),
        )
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@compiled(inline=True)
def unit_interval(word):
    """Map a uint32 to the open interval (0, 1): the middle of its 2⁻³² cell, never 0 or 1."""
    return (np.float64(word) + 0.5) * _TO_UNIT


@compiled
def fill_uniforms(out, indices, k0, k1):
    """Fill ``out[i, :]`` with uniforms that depend only on (key, indices[i], column)."""
    columns = out.shape[1]
    for row in range(out.shape[0]):
        low = np.uint32(indices[row] & 0xFFFFFFFF)
        high = np.uint32(indices[row] >> 32)
        for block in range((columns + 3) // 4):
            words = philox4x32(np.uint32(block), np.uint32(0), low, high, k0, k1)
            for lane in range(4):
                column = 4 * block + lane
                if column < columns:
                    out[row, column] = unit_interval(words[lane])
