"""The loops of the draw against the plain forms of what they compute."""

import numpy as np
import pytest
from numba import njit

from xraisim.core.kernels.philox import fill_uniforms
from xraisim.core.random import stream_key
from xraisim.photons.brick_kernels import place, spline
from xraisim.photons.lookup import make_bricks, round_to_bfloat16
from xraisim.photons.process_kernels import GAPS, TICKS, next_gap, scatter
from xraisim.photons.source import look_up
from xraisim.photons.thinning_kernels import CHUNK, bound_pixels, select_bounded
from xraisim.scattering.intensity import IntensitySpline

KEY = stream_key(0, "test")
LOW, HIGH = np.uint32(5), np.uint32(0)
BRIGHT = 0.8


def exponentials(n: int) -> np.ndarray:
    """The numbers of stream 0 of shot 5 in plain numpy."""
    uniform = np.empty((1, n))
    fill_uniforms(uniform, np.array([5]), *KEY)
    return -np.log(uniform[0])


def test_bfloat16_is_the_nearest():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    rounded = round_to_bfloat16(values)
    assert not (rounded.view(np.uint32) & 0xFFFF).any()
    spacing = 2.0 ** (np.floor(np.log2(np.abs(values))) - 7)
    assert (np.abs(rounded - values) <= spacing / 2).all()


@pytest.mark.parametrize("grid", [33, 35])
def test_a_look_up_is_that_of_the_rounded_coefficients(grid):
    """Negative values are cut at 0; the grids end in the middle of a brick, and at its end."""

    @njit
    def values(bricks, along, point):
        out = np.empty(len(point), np.float32)
        for i in range(len(point)):
            brick, x, y, z = place(point[i, 0], point[i, 1], point[i, 2], along)
            out[i] = spline(bricks, brick, x, y, z, along)
        return out

    rng = np.random.default_rng(1)
    coefficients = round_to_bfloat16(rng.normal(size=(grid,) * 3).astype(np.float32))
    volume = IntensitySpline(coefficients=coefficients, spacing=1.0, s_max=1.0)
    reach = grid // 2 - 0.6
    s = rng.uniform(-reach, reach, (20_000, 3)).astype(np.float32)
    found = values(make_bricks(coefficients), np.int32(grid // 2), s + np.float32(grid // 2))
    assert (found == 0).any()
    assert np.abs(found - look_up(volume, s.astype(np.float64))).max() < 2e-5


def test_gaps_are_minus_the_logarithms_of_the_uniforms():
    gaps, found, at = np.empty(GAPS, np.int64), [], 0
    while at < 10 * GAPS:
        gap, at = next_gap(gaps, at, 0, LOW, HIGH, *KEY)
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
    found = scatter(piece, left, (lengths * TICKS).astype(np.int64), 0, LOW, HIGH, *KEY)
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
    where, offset = np.empty(2 * pixels, np.int32), np.empty(2 * pixels, np.float32)
    left = np.empty(2 * pixels, np.int64)
    block = np.arange(pixels, dtype=np.int32)
    lit = bound_pixels(bound, total, where, block, code, ceiling, gain)
    bounds = gain * ceiling[code]
    assert where[:lit].tolist() == np.flatnonzero(bounds >= BRIGHT).tolist()
    found = select_bounded(where, offset, left, bound, total, 0, LOW, HIGH, *KEY)
    expected = scattered_one_by_one(np.where(bounds < BRIGHT, bounds, 0))
    assert found > 50
    assert where[:found].tolist() == expected[0]
    assert offset[:found] == pytest.approx(expected[1], abs=1e-4)
