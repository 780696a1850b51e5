"""Poisson numbers on torch tensors, each from its own counter: no call changes another's numbers.

All arithmetic is float64: a tail below 10⁻⁹ decides whether a dark pixel is lit.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core.philox_torch import philox4x32

_BRIGHT = 10.0  # expected photons from which rejection beats summing the distribution
_CELL = 2.0**-32


def poisson(
    mean: Float[Tensor, "n"],
    word: Int[Tensor, "n"],
    stream: Int[Tensor, "n"],
    number: Int[Tensor, "n"],
    key: tuple[int, int],
) -> Int[Tensor, "n"]:
    """Return Poisson numbers, int32, of the given means.

    A mean below 10 is drawn by inversion of ``word`` (a random word, 0 … 2³² − 1), larger ones by
    rejection with the words of Philox counters (attempt, ``stream``, ``number`` as low and high
    word). A small word is a large number, and a word at or above 2³²·mean always gives 0. The words
    cut off what has a probability below 2⁻³³.
    """
    count = torch.empty(len(mean), dtype=torch.int32, device=mean.device)
    wide = mean.double()
    bright = wide >= _BRIGHT
    dim, lit = (~bright).nonzero()[:, 0], bright.nonzero()[:, 0]
    count[dim] = invert(wide[dim], unit_interval(word[dim]))
    count[lit] = reject(wide[lit], stream[lit], number[lit], key)
    return count


def unit_interval(word: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Map words to (0, 1), float64: the middle of their 2⁻³² cells."""
    return (word.double() + 0.5) * _CELL


def invert(mean: Float[Tensor, "n"], u: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Return the largest k with P(N ≥ k) > u, int32, float64 in: inversion from the upper tail.

    The elements that have not got there yet are packed at every step; most stop at 0.
    """
    count = torch.zeros(len(mean), dtype=torch.int32, device=mean.device)
    at = torch.arange(len(mean), device=mean.device)
    probability, tail, k = torch.exp(-mean), -torch.expm1(-mean), 0
    while True:
        further = (u < tail).nonzero()[:, 0]
        if not len(further):
            return count
        at, u, mean, probability, tail = (x[further] for x in (at, u, mean, probability, tail))
        k += 1
        count[at] = k
        probability = probability * mean / k
        tail = tail - probability


def reject(
    mean: Float[Tensor, "n"], stream: Int[Tensor, "n"], number: Int[Tensor, "n"],
    key: tuple[int, int],
) -> Int[Tensor, "n"]:  # fmt: skip
    """Return Poisson numbers, int32, of means ≥ 10 (float64) by transformed rejection.

    Hörmann, Insurance: Mathematics and Economics 12:39 (1993), algorithm PTRS; in the mean 1.1
    attempts or so.
    """
    count = torch.empty(len(mean), dtype=torch.int32, device=mean.device)
    left, attempt = torch.arange(len(mean), device=mean.device), 0
    while len(left):
        block = torch.full_like(left, attempt)
        words = philox4x32(block, stream, number & 0xFFFFFFFF, number >> 32, key)
        k, accepted = _attempt(mean, unit_interval(words[0]) - 0.5, unit_interval(words[1]))
        done = accepted.nonzero()[:, 0]
        count[left[done]] = k[done].int()
        again = (~accepted).nonzero()[:, 0]
        left, mean, stream, number = (x[again] for x in (left, mean, stream, number))
        attempt += 1
    return count


def _attempt(mean: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the proposed numbers (float64) and whether each is accepted."""
    b = 0.931 + 2.53 * mean.sqrt()
    a = -0.059 + 0.02483 * b
    us = 0.5 - u.abs()
    k = torch.floor((2 * a / us + b) * u + mean + 0.43)
    inside = (us >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2.0))
    possible = (k >= 0) & ((us >= 0.013) | (v <= us))
    ratio = torch.log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b))
    below = ratio <= k * mean.log() - mean - torch.lgamma(k.clamp(min=0) + 1)
    return k, inside | (possible & below)
