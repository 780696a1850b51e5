"""The Poisson processes of the draw against plain loops, and its large numbers."""

import numpy as np
import pytest
from numba import njit

from xraisim.core.kernels.philox import fill_uniforms
from xraisim.core.random import stream_key
from xraisim.photons.kernels.poisson import (
    CHUNK,
    GAPS,
    TICKS,
    Random,
    bound_pixels,
    next_gap,
    of_shot,
    poisson_large,
    scatter,
    scatter_on_bounds,
)

from .conftest import poisson_pvalue

KEY = stream_key(0, "test")
SHOT = Random(np.uint32(5), np.uint32(0), *KEY)
BRIGHT = 0.8


def exponentials(n: int) -> np.ndarray:
    """The numbers of stream 0 of shot 5 in plain numpy."""
    uniform = np.empty((1, n))
    fill_uniforms(uniform, np.array([5]), *KEY)
    return -np.log(uniform[0])


def test_gaps_are_minus_the_logarithms_of_the_uniforms():
    gaps, found, at = np.empty(GAPS, np.int64), [], 0
    while at < 10 * GAPS:
        gap, at = next_gap(gaps, at, SHOT, 0)
        found.append(gap)
    assert np.abs(np.array(found) - exponentials(10 * GAPS)).max() < 1.5 / TICKS


def scattered_one_by_one(lengths: np.ndarray) -> tuple[list[int], list[float]]:
    """What :func:`scatter` lists, piece after piece in plain Python."""
    gaps, piece, left, used = exponentials(int(2 * lengths.sum()) + 100), [], [], 1
    need = gaps[0]
    for p, length in enumerate(lengths):
        while need < length:
            piece.append(p)
            left.append(need)
            need += gaps[used]
            used += 1
        need -= length
    return piece, left


def test_scatter_is_a_plain_loop():
    lengths = np.random.default_rng(4).exponential(1.0, 500) * (np.arange(500) % 5 > 0)
    piece, left = np.empty(2000, np.int32), np.empty(2000, np.int64)
    found = scatter(piece, left, (lengths * TICKS).astype(np.int64), SHOT, 0)
    expected = scattered_one_by_one(lengths)
    assert found > 300
    assert piece[:found].tolist() == expected[0]
    assert left[:found] / TICKS == pytest.approx(expected[1], abs=1e-6)


@pytest.mark.parametrize("brightest", [0.5, 2.0])
def test_events_fall_where_a_plain_loop_puts_them(brightest):
    """Dim pixels alone, and with a bright one in most chunks."""
    rng = np.random.default_rng(2)
    pixels = 200 * CHUNK
    ceiling = np.geomspace(1e-4, brightest, 256).astype(np.float32)
    code = rng.integers(0, 256, pixels).astype(np.uint8)
    gain = rng.uniform(0.5, 1, pixels).astype(np.float32)
    bound, total = np.empty(pixels, np.float32), np.empty(pixels // CHUNK, np.int64)
    where, distance = np.empty(2 * pixels, np.int32), np.empty(2 * pixels, np.float32)
    left = np.empty(2 * pixels, np.int64)
    block = np.arange(pixels, dtype=np.int32)
    lit = bound_pixels(bound, total, where, block, code, ceiling, gain)
    bounds = gain * ceiling[code]
    assert where[:lit].tolist() == np.flatnonzero(bounds >= BRIGHT).tolist()
    found = scatter_on_bounds(where, distance, left, bound, total, SHOT, 0)
    expected = scattered_one_by_one(np.where(bounds < BRIGHT, bounds, 0))
    assert found > 50
    assert where[:found].tolist() == expected[0]
    assert distance[:found] == pytest.approx(expected[1], abs=1e-4)


@pytest.mark.parametrize("mean", [10.0, 37.5, 1000.0])
def test_large_poisson_numbers_follow_their_distribution(mean):
    @njit
    def draw(mean, n, k0, k1):
        out = np.empty(n, np.int64)
        for i in range(n):
            out[i] = poisson_large(mean, of_shot(i, k0, k1), 2)
        return out

    assert poisson_pvalue(draw(mean, 50_000, *stream_key(3, "test")), mean) > 1e-3
