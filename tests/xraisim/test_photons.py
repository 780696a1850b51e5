import numba
import numpy as np
import pytest
import torch
from numba import njit
from scipy import stats

from xraisim.beam import Beam, FluenceSpread
from xraisim.core.errors import SamplingError
from xraisim.core.kernels.philox import philox4x32
from xraisim.core.random import stream_key
from xraisim.core.rotations import to_matrix
from xraisim.detector import Detector, geometry
from xraisim.intensity import intensity_spline, plan_grid
from xraisim.photon_kernels import poisson_large
from xraisim.photons import PhotonSource, draw_orientations, expected_photons, look_up
from xraisim.scattering import structure_factor_direct
from xraisim.structure import locate, read_atoms

ENERGY_EV = 4600.0
CONSTANT = FluenceSpread(distribution="constant")


@pytest.fixture(scope="module")
def small_geometry():
    """40² pixels that a cloud of 120 atoms fills with 0.01 to 50 photons each."""
    beam = Beam(photons_per_pulse=5e17)
    return geometry(Detector(rows=40, columns=40, pixel_size_mm=2.0), beam)


@pytest.fixture(scope="module")
def volume(cloud, small_geometry):
    return intensity_spline(cloud, small_geometry.s_max, ENERGY_EV)


@njit
def _philox(counter, key):
    out = np.empty(4, np.uint32)
    words = philox4x32(counter[0], counter[1], counter[2], counter[3], key[0], key[1])
    for lane in range(4):
        out[lane] = words[lane]
    return out


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, expected):
    """The known-answer vectors of the Random123 distribution."""
    found = _philox(np.array(counter, np.uint32), np.array(key, np.uint32))
    assert found.tolist() == expected


def test_the_look_up_is_within_one_per_cent_in_every_shell():
    """The 50S subunit to 20 Å; the whole table is in docs/simulator.md."""
    atoms = read_atoms(locate("4v5d"), chains="B*")
    edges, per_shell = np.array([0, 0.004, 0.008, 0.012, 0.02, 0.03, 0.04, 0.05]), 40
    rng = np.random.default_rng(0)
    radius = rng.uniform(edges[:-1], edges[1:], (per_shell, len(edges) - 1)).reshape(-1)
    direction = rng.normal(size=(len(radius), 3))
    s = radius[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    direct = np.abs(structure_factor_direct(atoms, s, ENERGY_EV)) ** 2
    error = look_up(intensity_spline(atoms, 0.05, ENERGY_EV), s) - direct
    error, direct = error.reshape(per_shell, -1), direct.reshape(per_shell, -1)
    assert (np.sqrt((error**2).mean(0) / (direct**2).mean(0)) < 0.01).all()


def test_photons_have_the_mean_and_variance_of_poisson(volume, small_geometry):
    """Every pixel over 3,000 draws of one orientation, against the plain numpy expectation."""
    n, background = 3000, 0.02
    source = PhotonSource(volume, small_geometry, CONSTANT, background, seed=1)
    orientation = draw_orientations(1, np.arange(1))
    rotation = np.repeat(_matrix(orientation), n, axis=0)
    counts = source._draw_photons(0, rotation, np.ones(n, np.float32)).dense(1600).numpy()
    mean = expected_photons(volume, small_geometry, orientation[0], 1.0, background)
    assert mean.min() < 0.1, "dim pixels, which are thinned"
    assert mean.max() > 20, "bright pixels, which are drawn by rejection"
    z = (counts.sum(0) - n * mean) / np.sqrt(n * mean)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(z.mean()) * 40 < 4
    ratio = counts.var(0) / mean
    assert ratio.mean() == pytest.approx(1, abs=4 * np.sqrt(2 / n / 1600) + 0.002)
    total = counts.sum(1)
    assert total.var() / total.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / n))


def test_counts_follow_the_poisson_distribution(volume, small_geometry):
    """Chi-square of the counts of single pixels, dim, middling and bright."""
    n = 4000
    source = PhotonSource(volume, small_geometry, CONSTANT, 0.0, seed=2)
    orientation = draw_orientations(2, np.arange(1))
    rotation = np.repeat(_matrix(orientation), n, axis=0)
    counts = source._draw_photons(0, rotation, np.ones(n, np.float32)).dense(1600).numpy()
    mean = expected_photons(volume, small_geometry, orientation[0], 1.0, 0.0)
    for target in (0.3, 1.5, 6.0, 15.0):
        pixel = int(np.argmin(np.abs(mean - target)))
        assert _poisson_pvalue(counts[:, pixel].astype(int), mean[pixel]) > 1e-3


@pytest.mark.parametrize("mean", [10.0, 37.5, 1000.0])
def test_large_poisson_numbers_follow_their_distribution(mean):
    @njit
    def draw(mean, n, k0, k1):
        out = np.empty(n, np.int64)
        for i in range(n):
            out[i] = poisson_large(mean, 2, np.uint32(i), np.uint32(0), k0, k1)
        return out

    assert _poisson_pvalue(draw(mean, 50_000, *stream_key(3, "test")), mean) > 1e-3


def _poisson_pvalue(counts: np.ndarray, mean: float) -> float:
    low, high = stats.poisson.ppf([0.01, 0.99], mean).astype(int)
    bins = np.arange(low, high + 2)
    observed = np.bincount(np.clip(counts, low, high) - low, minlength=len(bins) - 1)
    share = np.diff(stats.poisson.cdf(bins - 1, mean))
    share[0], share[-1] = stats.poisson.cdf(low, mean), stats.poisson.sf(high - 1, mean)
    return float(stats.chisquare(observed, len(counts) * share / share.sum()).pvalue)


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    return to_matrix(torch.from_numpy(quaternion)).numpy().reshape(-1, 9)


def test_patterns_depend_on_seed_and_number_alone(volume, small_geometry):
    """The same for every thread count, batch size and order of the batches."""
    source = PhotonSource(volume, small_geometry, FluenceSpread(), 0.1, seed=4)
    threads = numba.get_num_threads()
    whole = source.draw(0, 40)
    numba.set_num_threads(1)
    try:
        other = PhotonSource(volume, small_geometry, FluenceSpread(), 0.1, seed=4)
        other._capacity = 3  # too small: the batch is drawn again with more room
        late, early = other.draw(13, 27), other.draw(0, 13)
    finally:
        numba.set_num_threads(threads)
    for name in ("pixel", "count"):
        parts = [getattr(part.photons, name) for part in (early, late)]
        assert (np.concatenate(parts) == getattr(whole.photons, name)).all()
    assert (np.concatenate([early.fluence, late.fluence]) == whole.fluence).all()
    assert (np.concatenate([early.orientations, late.orientations]) == whole.orientations).all()
    different = PhotonSource(volume, small_geometry, FluenceSpread(), 0.1, seed=5).draw(0, 40)
    assert len(different.photons.pixel) != len(whole.photons.pixel)


def test_the_grid_follows_diameter_and_resolution():
    grid, spacing = plan_grid(250.0, 0.1)
    assert spacing == pytest.approx(1 / 750)
    assert grid % 2 == 1
    assert (grid // 2) * spacing > 0.1
    with pytest.raises(SamplingError, match="needs a grid of"):
        plan_grid(2000.0, 0.2)


def test_pixels_beyond_the_volume_are_refused(cloud, small_geometry):
    short = intensity_spline(cloud, 0.02, ENERGY_EV)
    with pytest.raises(SamplingError, match="the intensity volume was made to"):
        PhotonSource(short, small_geometry, CONSTANT, 0.0, 0)
