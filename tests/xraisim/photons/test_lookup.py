"""The look-up of the draw against its plain form, and the bounds that spare most of them."""

import numpy as np
import pytest
from numba import njit

from xraisim.photons.kernels.lookup import place, spline, upper_bounds
from xraisim.photons.lookup import encode, make_bricks, round_to_bfloat16
from xraisim.scattering.intensity import IntensitySpline, look_up


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


def test_bounds_are_bounds():
    """A rough volume of positive and negative coefficients, against the look-up itself."""
    rng = np.random.default_rng(0)
    grid = 33
    volume = IntensitySpline(
        coefficients=rng.normal(size=(grid,) * 3).astype(np.float32), spacing=1.0, s_max=14.0
    )
    s = rng.uniform(-14, 14, (100_000, 3))
    value = look_up(volume, s)
    blocks, shells = upper_bounds(volume.coefficients)
    block = np.floor(s + grid // 2 + 0.5).astype(int) >> 2
    radius = np.linalg.norm(s, axis=1).astype(int)
    for bound, tightest in ((blocks[tuple(block.T)], 0.6), (shells[radius], 0.5)):
        assert (value <= bound * (1 + 1e-6)).all()
        assert (value / np.maximum(bound, 1e-9)).max() > tightest, "but not far too high"
    code, table = encode(blocks.reshape(-1))
    coded = table[code]
    assert (coded >= blocks.reshape(-1)).all()
    bright = blocks.reshape(-1) > 1e-6 * blocks.max()
    assert (coded[bright] <= 1.126 * blocks.reshape(-1)[bright]).all()
