"""Arithmetic that the compiled loops share."""

import numpy as np

from xraisim.core.kernels.compiled import compiled

_EXPONENT = np.int64(52)  # the bit where a float64's exponent begins
_ROOT_HALF = np.int64(0x3FE6A09E667F3BCD)  # the bits of √½
_LN_2 = 0.6931471805599453


@compiled(fast=True, inline=True)
def log(x):
    """Return ln x of a normal positive float64 to 2·10⁻¹¹; NaN of what is infinite or NaN.

    A series where a library would be called, so that loops of it become vector instructions (six
    times as fast): x = 2ᵉ·m with √½ ≤ m < √2, ln m = 2 artanh((m − 1)/(m + 1)).
    """
    bits = np.float64(x).view(np.int64)
    e = np.int64(bits - _ROOT_HALF) >> _EXPONENT
    m = np.int64(bits - np.int64(e << _EXPONENT)).view(np.float64)
    r = (m - 1.0) / (m + 1.0)
    q = r * r
    tail = 2 / 5 + q * (2 / 7 + q * (2 / 9 + q * (2 / 11)))
    value = e * _LN_2 + r * (2.0 + q * (2 / 3 + q * tail))
    return value if x < np.inf else np.nan
