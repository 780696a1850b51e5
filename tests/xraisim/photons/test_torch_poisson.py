"""Philox and Poisson numbers in torch; on a CUDA device too where there is one (``-m gpu``)."""

import numpy as np
import pytest
import torch
from numba import njit
from scipy import stats

from xraisim.core.kernels.philox import philox4x32 as numba_philox
from xraisim.core.philox_torch import philox4x32
from xraisim.core.random import stream_key
from xraisim.photons.kernels.poisson import of_shot, poisson_large
from xraisim.photons.torch_poisson import poisson, reject

from .conftest import poisson_pvalue


@njit
def _numba_words(counters, k0, k1):
    out = np.empty(counters.shape, np.uint32)
    for i in range(len(counters)):
        c = counters[i]
        words = numba_philox(c[0], c[1], c[2], c[3], k0, k1)
        for lane in range(4):
            out[i, lane] = words[lane]
    return out


def test_philox_gives_the_words_of_the_numba_generator(device):
    rng = np.random.default_rng(0)
    counters = rng.integers(0, 2**32, (5000, 4), dtype=np.uint32)
    counters[:3] = [[0] * 4, [0xFFFFFFFF] * 4, [1, 0, 0, 0]]
    key = stream_key(7, "any")
    columns = torch.from_numpy(counters.astype(np.int64)).to(device).unbind(1)
    found = torch.stack(philox4x32(*columns, (int(key[0]), int(key[1]))), dim=1)
    assert (found.cpu().numpy() == _numba_words(counters, *key)).all()


def test_philox_counters_broadcast(device):
    """A row of blocks against a column of numbers, as the draw uses it."""
    block = torch.arange(5, device=device)[None]
    number = torch.arange(3, device=device)[:, None]
    zero = torch.zeros_like(block)
    words = philox4x32(block, zero, number, torch.zeros_like(number), (1, 2))
    one = philox4x32(block[0, 4:], zero[0, 4:], number[2], zero[0, 4:], (1, 2))
    assert all(w.shape == (3, 5) and w[2, 4] == o[0] for w, o in zip(words, one, strict=True))


@pytest.mark.parametrize("mean", [1e-3, 0.3, 2.0, 9.9, 10.0, 37.5, 1000.0])
def test_numbers_follow_the_poisson_distribution(mean, device):
    n, key = 50_000, (3, 4)
    number = torch.arange(n, device=device)
    zero = torch.zeros_like(number)
    word = philox4x32(zero, zero, number, zero, key)[0]
    means = torch.full((n,), mean, device=device)
    counts = poisson(means, word, 1 + zero, number, key).cpu().numpy()
    wanted = np.float32(mean)
    assert poisson_pvalue(counts, float(wanted)) > 1e-3
    assert abs(counts.mean() - wanted) < 4 * np.sqrt(wanted / n)


def test_the_smallest_word_gives_the_quantile_of_its_tail(device):
    """Inversion at the far end, where float32 would have lost the tail: P(N ≥ k) > 2⁻³³."""
    for mean in (1e-8, 1e-4, 0.1, 1.0, 9.5):
        wide = float(np.float32(mean))
        means = torch.tensor([mean, mean], device=device)
        word = torch.tensor([0, 2**32 - 1], device=device)
        zero = torch.zeros_like(word)
        largest, smallest = poisson(means, word, zero, zero, (0, 0)).tolist()
        assert largest == int(stats.poisson.isf(2.0**-33, wide))
        assert smallest == 0


def test_rejection_takes_the_numbers_that_numba_takes(device):
    """Algorithm PTRS in :mod:`xraisim.photons.kernels.poisson`, on the same words."""

    @njit
    def by_numba(mean, stream, number, k0, k1):
        out = np.empty(len(mean), np.int64)
        for i in range(len(mean)):
            out[i] = poisson_large(mean[i], of_shot(number[i], k0, k1), stream[i])
        return out

    rng, n = np.random.default_rng(6), 200_000
    mean = np.exp(rng.uniform(np.log(10), np.log(1e5), n))
    stream, number = rng.integers(0, 2**20, n), rng.integers(0, 2**40, n)
    key = stream_key(8, "any")
    wanted = by_numba(mean, stream, number, *key)
    tensors = (torch.from_numpy(x).to(device) for x in (mean, stream, number))
    found = reject(*tensors, (int(key[0]), int(key[1]))).cpu().numpy()
    # The last bit of log and lgamma may tip a decision once in very many.
    assert (found != wanted).sum() <= 1
