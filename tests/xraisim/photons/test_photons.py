import numba
import numpy as np
import pytest
from numba import njit
from scipy import stats

from xraisim.core.errors import SamplingError
from xraisim.core.kernels.philox import philox4x32
from xraisim.core.random import stream_key
from xraisim.instrument.beam import Beam, FluenceSpread
from xraisim.instrument.detector import Detector, geometry
from xraisim.photons import source as photons
from xraisim.photons.exposure_kernels import poisson_large
from xraisim.photons.lookup import encode
from xraisim.photons.shots import SINGLE, ShotRecipe, Shots, draw_orientations, draw_shots
from xraisim.photons.source import PhotonSource, expected_photons, look_up
from xraisim.photons.spline_kernels import upper_bounds
from xraisim.sample.structure import locate, read_atoms
from xraisim.scattering.intensity import IntensitySpline, intensity_spline, plan_grid
from xraisim.scattering.structure_factor import structure_factor_direct

from .conftest import poisson_pvalue

ENERGY_EV = 4600.0


def repeated(n: int, seed: int, weight: float = 1.0, exposures: int = 1) -> Shots:
    """``n`` shots of the same orientation, each exposure with its share of the weight."""
    m = n * exposures
    return Shots(
        offsets=np.arange(n + 1) * exposures,
        particle=np.tile(np.arange(exposures, dtype=np.int32), n),
        model=np.zeros(m, np.int32),
        orientation=np.repeat(draw_orientations(seed, np.arange(1)), m, axis=0),
        weight=np.full(m, weight / exposures, np.float32),
        scale=np.ones(m, np.float32),
        fluence=np.full(n, weight, np.float32),
        strength=np.ones(n, np.float32),
        energy=np.ones(n, np.float32),
        hit=np.full(n, SINGLE, np.uint8),
    )


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
    """The 50S subunit to 20 Å; the whole table is in docs/measurements/simulator_accuracy.md."""
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


@pytest.mark.parametrize(
    ("weight", "exposures", "envelope"),
    [(1.0, 1, False), (1.0, 3, False), (1e-3, 1, True), (1e-3, 1, False), (0.02, 2, True)],
)
def test_photons_have_the_mean_and_variance_of_poisson(
    volume, small_geometry, monkeypatch, weight, exposures, envelope
):
    """Every pixel over 3,000 draws of one orientation, against the plain numpy expectation.

    However it is thinned, and in one exposure or in several.
    """
    n, background = 3000, 0.02
    monkeypatch.setattr(photons, "_ENVELOPED_BELOW", 1.0 if envelope else 0)
    source = PhotonSource([volume], small_geometry, background=background, seed=1)
    shots = repeated(n, 1, weight, exposures)
    events = float(shots.weight[0]) * source._lookups[0].running[-1]
    assert not envelope or events < len(small_geometry.good), "the envelope is really used"
    counts = source.draw(shots, 0).dense(1600).numpy()
    mean = expected_photons([volume], small_geometry, shots.part(0, 1), background=background)[0]
    assert mean.min() < 0.1, "dim pixels, which are thinned"
    assert weight < 1 or mean.max() > 20, "bright pixels, which are drawn by rejection"
    z = (counts.sum(0) - n * mean) / np.sqrt(n * mean)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(z.mean()) * 40 < 4
    ratio = counts.var(0) / mean
    assert ratio.mean() == pytest.approx(
        1, abs=4 * np.sqrt((2 + 1 / mean.mean()) / n / 1600) + 0.002
    )
    total = counts.sum(1)
    assert total.var() / total.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / n))


def test_counts_follow_the_poisson_distribution(volume, small_geometry):
    """Chi-square of the counts of single pixels, dim, middling and bright."""
    n = 4000
    source = PhotonSource([volume], small_geometry, seed=2)
    shots = repeated(n, 2)
    counts = source.draw(shots, 0).dense(1600).numpy()
    mean = expected_photons([volume], small_geometry, shots.part(0, 1))[0]
    for target in (0.3, 1.5, 6.0, 15.0):
        pixel = int(np.argmin(np.abs(mean - target)))
        assert poisson_pvalue(counts[:, pixel].astype(int), mean[pixel]) > 1e-3


@pytest.mark.parametrize("mean", [10.0, 37.5, 1000.0])
def test_large_poisson_numbers_follow_their_distribution(mean):
    @njit
    def draw(mean, n, k0, k1):
        out = np.empty(n, np.int64)
        for i in range(n):
            out[i] = poisson_large(mean, 2, np.uint32(i), np.uint32(0), k0, k1)
        return out

    assert poisson_pvalue(draw(mean, 50_000, *stream_key(3, "test")), mean) > 1e-3


def test_patterns_depend_on_seed_and_number_alone(volume, small_geometry):
    """The same for every thread count, batch size and order of the batches."""
    recipe = ShotRecipe(fluence=FluenceSpread(sigma=1.0))

    def draw(source, first, n):
        return source.draw(draw_shots(recipe, 4, first, n), first)

    def source(seed=4):
        return PhotonSource([volume], small_geometry, background=0.1, seed=seed)

    threads = numba.get_num_threads()
    whole = draw(source(), 0, 40)
    numba.set_num_threads(1)
    try:
        other = source()
        other._capacity = 3  # too small: the batch is drawn again with more room
        late, early = draw(other, 13, 27), draw(other, 0, 13)
    finally:
        numba.set_num_threads(threads)
    for name in ("pixel", "count"):
        parts = [getattr(part, name) for part in (early, late)]
        assert (np.concatenate(parts) == getattr(whole, name)).all()
    assert len(draw(source(5), 0, 40).pixel) != len(whole.pixel)


def test_a_block_too_large_for_the_memory_is_drawn_in_parts(volume, small_geometry, monkeypatch):
    source = PhotonSource([volume], small_geometry, background=0.1, seed=4)
    whole = source.draw(repeated(30, 4), 0)
    monkeypatch.setattr(photons, "_ENTRIES", 4 * source._capacity)
    parts = source.draw(repeated(30, 4), 0)
    assert (whole.offsets == parts.offsets).all()
    assert (whole.pixel == parts.pixel).all()
    assert (whole.count == parts.count).all()


def test_rows_are_ascending_without_repeats(volume, small_geometry):
    drawn = PhotonSource([volume], small_geometry, background=0.5, seed=4).draw(
        repeated(20, 4, exposures=4), 0
    )
    for start, stop in zip(drawn.offsets[:-1], drawn.offsets[1:], strict=True):
        assert (np.diff(drawn.pixel[start:stop]) > 0).all()
    assert (drawn.count > 0).all()


def test_a_blank_shot_has_the_background_alone(volume, small_geometry):
    shots = repeated(2000, 4)
    blank = Shots(
        **{name: getattr(shots, name) for name in ("fluence", "strength", "energy", "hit")},
        offsets=np.zeros(len(shots) + 1, np.int64),
        **{
            name: getattr(shots, name)[:0]
            for name in ("particle", "model", "orientation", "weight", "scale")
        },
    )
    drawn = PhotonSource([volume], small_geometry, background=0.05, seed=4).draw(blank, 0)
    mean = 0.05 * len(small_geometry.good)
    assert drawn.totals().mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / 2000))
    assert not len(PhotonSource([volume], small_geometry, seed=4).draw(blank, 0).pixel)


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
        PhotonSource([short], small_geometry, seed=0).draw(repeated(1, 0), 0)
