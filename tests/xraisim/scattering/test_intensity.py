import numba
import numpy as np
import pytest
from scipy.ndimage import correlate1d

from tests.threads import loops_on, loops_on_every_core
from xraisim.core.errors import SamplingError
from xraisim.sample.structure import Atoms, locate, read_atoms
from xraisim.scattering.friedel import full_cube, slabs
from xraisim.scattering.intensity import (
    intensity_cube,
    intensity_spline,
    look_up,
    plan_grid,
    sharpening_taps,
)
from xraisim.scattering.kernels.intensity import filter_rows
from xraisim.scattering.structure_factor import structure_factor_direct

GRID, SPACING = 31, 0.004
IRON_ABOVE_EDGE_EV = 7200.0


@pytest.fixture(scope="module")
def irons() -> Atoms:
    """Iron and carbon within 20 Å: f″ of iron is some 4 electrons just above its edge."""
    rng = np.random.default_rng(1)
    return Atoms(
        positions=rng.uniform(-12, 12, (60, 3)),
        elements=rng.choice([6, 26], 60).astype(np.int16),
        occupancy=np.ones(60, np.float32),
        b_iso=rng.uniform(5, 60, 60).astype(np.float32),
    )


@pytest.mark.parametrize("ball", [True, False])
@pytest.mark.parametrize("points", [1, 2_000, 3_000_000])
def test_slabs_cover_the_half_once(monkeypatch, ball, points):
    monkeypatch.setattr("xraisim.scattering.friedel._SLAB_POINTS", points)
    width, seen = 12, np.zeros((13, 25, 25), int)
    for slab in slabs(width, SPACING, ball=ball):
        square = slice(width - slab.reach, width + slab.reach + 1)
        seen[slab.first : slab.first + slab.planes, square, square] += 1
    i, j, k = np.ogrid[0:13, -12:13, -12:13]
    within = i**2 + j**2 + k**2 <= width**2
    assert (seen[within] == 1).all()
    assert seen.max() == 1
    assert ball == (seen.min() == 0) or points == 3_000_000


def test_both_friedel_mates_are_the_sum_over_atoms(irons, monkeypatch):
    monkeypatch.setattr("xraisim.scattering.friedel._SLAB_POINTS", 3_000)
    monkeypatch.setattr("xraisim.scattering.structure_factor._CHUNK_ATOMS", 25)
    cube = intensity_cube(irons, GRID, SPACING, IRON_ABOVE_EDGE_EV)
    index = np.argwhere(np.ones(cube.shape, bool)) - GRID // 2
    index = index[(index**2).sum(1) <= (GRID // 2) ** 2]
    index = np.random.default_rng(0).permutation(index)[:1500]
    direct, mate = (
        np.abs(structure_factor_direct(irons, sign * SPACING * index, IRON_ABOVE_EDGE_EV)) ** 2
        for sign in (1, -1)
    )
    found = cube[tuple((index + GRID // 2).T)]
    scale = np.sqrt((direct**2).mean())
    assert np.sqrt(((found - direct) ** 2).mean()) < 1e-4 * scale
    assert np.sqrt(((direct - mate) ** 2).mean()) > 0.01 * scale  # so the mates were told apart


def test_the_cube_is_zero_outside_its_ball_and_right_on_its_rim(irons):
    cube = intensity_cube(irons, GRID, SPACING, None)
    i, j, k = np.ogrid[-15:16, -15:16, -15:16]
    outside = i**2 + j**2 + k**2 > 15**2
    assert not cube[outside].any()
    half = irons.amplitude(15 * SPACING, None)
    whole = np.abs(full_cube(half, GRID, SPACING)) ** 2
    np.testing.assert_allclose(cube[~outside], whole[~outside], rtol=1e-3, atol=1e-4 * cube.max())


@pytest.mark.skipif(
    numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only: nothing to compare"
)
def test_the_number_of_threads_does_not_matter(irons, monkeypatch):
    monkeypatch.setattr("xraisim.scattering.friedel._SLAB_POINTS", 3_000)
    with loops_on_every_core():
        several = intensity_cube(irons, GRID, SPACING, 4600.0)
    with loops_on(1):
        one = intensity_cube(irons, GRID, SPACING, 4600.0)
    np.testing.assert_array_equal(one, several)


@pytest.mark.parametrize("axes", [(1, 0, 2), (0, 1, 2), (0, 2, 1)])
def test_the_filter_is_a_correlation_along_one_axis(axes):
    volume = np.random.default_rng(0).normal(size=(15, 15, 15)).astype(np.float32)
    taps = sharpening_taps(3.0)
    reach, axis = len(taps) - 1, axes[1]
    expected = correlate1d(volume.astype(float), np.concatenate([taps[:0:-1], taps]), axis=axis)
    rim = np.arange(15)
    rim = np.flatnonzero((rim < reach) | (rim >= 15 - reach))
    np.moveaxis(expected, axis, 0)[rim] = np.moveaxis(volume, axis, 0)[rim]
    filter_rows(volume.transpose(axes), taps)
    np.testing.assert_allclose(volume, expected, atol=1e-5)


def test_the_look_up_is_within_one_per_cent_in_every_shell():
    """The 50S subunit to 20 Å; the whole table is in docs/measurements/simulator_accuracy.md."""
    atoms = read_atoms(locate("4v5d"), chains="B*")
    edges, per_shell = np.array([0, 0.004, 0.008, 0.012, 0.02, 0.03, 0.04, 0.05]), 40
    rng = np.random.default_rng(0)
    radius = rng.uniform(edges[:-1], edges[1:], (per_shell, len(edges) - 1)).reshape(-1)
    direction = rng.normal(size=(len(radius), 3))
    s = radius[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    direct = np.abs(structure_factor_direct(atoms, s, 4600.0)) ** 2
    error = look_up(intensity_spline(atoms, 0.05, 4600.0), s) - direct
    error, direct = error.reshape(per_shell, -1), direct.reshape(per_shell, -1)
    assert (np.sqrt((error**2).mean(0) / (direct**2).mean(0)) < 0.01).all()


def test_the_grid_follows_diameter_and_resolution():
    grid, spacing = plan_grid(250.0, 0.1)
    assert spacing == pytest.approx(1 / 750)
    assert grid % 2 == 1
    assert (grid // 2) * spacing > 0.1
    with pytest.raises(SamplingError, match="needs a grid of"):
        plan_grid(2000.0, 0.2)
