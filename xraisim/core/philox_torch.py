"""Philox4x32-10 (Salmon et al., SC 2011) on torch tensors: the words of the numba generator.

For devices that numba does not reach. torch has no unsigned 32-bit product with a high word, so
every word is an int64: a product of two words wraps modulo 2⁶⁴, and its halves are right.
"""

from jaxtyping import Int
from torch import Tensor

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF


def philox4x32(
    c0: Int[Tensor, "*#shape"],
    c1: Int[Tensor, "*#shape"],
    c2: Int[Tensor, "*#shape"],
    c3: Int[Tensor, "*#shape"],
    key: tuple[int, int],
) -> tuple[Int[Tensor, "*#shape"], ...]:
    """Return four random words (int64, 0 … 2³² − 1) for counters of four words (int64, alike).

    The counters broadcast against one another; so do the words. ``key`` is two 32-bit words.
    """
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        # c1 and c3 keep a product's high half, which the mask drops before it counts.
        c0, c1 = _mix(p1, c1, k0), p1
        c2, c3 = _mix(p0, c3, k1), p0
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1 & _LOW, c2, c3 & _LOW


def _mix(product: Tensor, word: Tensor, key: int) -> Tensor:
    """Return high(product) ^ word ^ key, in few passes over memory."""
    mixed = (product >> 32) ^ word
    mixed ^= key
    mixed &= _LOW
    return mixed
