import dataclasses

import numpy as np
import pytest
from scipy import stats

from tests.threads import loops_on, loops_on_every_core
from xraisim.core.errors import SamplingError
from xraisim.instrument.beam import Beam, FluenceSpread
from xraisim.instrument.detector import Detector, geometry
from xraisim.photons import draw as the_draw
from xraisim.photons.draw import PhotonSampler
from xraisim.photons.expected import ExpectedPhotons
from xraisim.photons.hits import SINGLE
from xraisim.photons.shots import ShotRecipe, Shots, draw_orientations, draw_shots
from xraisim.scattering.intensity import intensity_spline

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


@pytest.fixture
def make_sampler(volume, small_geometry):
    def make(background: float = 0.0, seed: int = 4) -> PhotonSampler:
        expected = ExpectedPhotons([volume], small_geometry, background=background)
        return PhotonSampler(expected, seed=seed)

    return make


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
    monkeypatch.setattr(the_draw, "_ENVELOPED_BELOW", 1.0 if envelope else 0)
    expected = ExpectedPhotons([volume], small_geometry, background=background)
    sampler = PhotonSampler(expected, seed=1)
    shots = repeated(n, 1, weight, exposures)
    events = float(shots.weight[0]) * sampler._tables[0].running[-1]
    assert not envelope or events < len(small_geometry.good), "the envelope is really used"
    counts = sampler.draw(shots, 0).dense(1600).numpy()
    mean = expected.of(shots.part(0, 1))[0]
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
    expected = ExpectedPhotons([volume], small_geometry)
    sampler = PhotonSampler(expected, seed=2)
    shots = repeated(n, 2)
    counts = sampler.draw(shots, 0).dense(1600).numpy()
    mean = expected.of(shots.part(0, 1))[0]
    for target in (0.3, 1.5, 6.0, 15.0):
        pixel = int(np.argmin(np.abs(mean - target)))
        assert poisson_pvalue(counts[:, pixel].astype(int), mean[pixel]) > 1e-3


def test_patterns_depend_on_seed_and_number_alone(make_sampler):
    """The same for every thread count, batch size and order of the batches."""
    recipe = ShotRecipe(fluence=FluenceSpread(sigma=1.0))

    def draw(sampler, first, n):
        return sampler.draw(draw_shots(recipe, 4, first, n), first)

    with loops_on_every_core():
        whole = draw(make_sampler(0.1), 0, 40)
    with loops_on(1):
        other = make_sampler(0.1)
        other._capacity = 3  # too small: the batch is drawn again with more room
        late, early = draw(other, 13, 27), draw(other, 0, 13)
    for name in ("pixel", "count"):
        parts = [getattr(part, name) for part in (early, late)]
        assert (np.concatenate(parts) == getattr(whole, name)).all()
    assert len(draw(make_sampler(0.1, seed=5), 0, 40).pixel) != len(whole.pixel)


def test_a_block_too_large_for_the_memory_is_drawn_in_parts(make_sampler, monkeypatch):
    sampler = make_sampler(0.1)
    whole = sampler.draw(repeated(30, 4), 0)
    monkeypatch.setattr(the_draw, "_ENTRIES", 4 * sampler._capacity)
    parts = sampler.draw(repeated(30, 4), 0)
    assert (whole.offsets == parts.offsets).all()
    assert (whole.pixel == parts.pixel).all()
    assert (whole.count == parts.count).all()


def test_rows_are_ascending_without_repeats(make_sampler):
    drawn = make_sampler(0.5).draw(repeated(20, 4, exposures=4), 0)
    for start, stop in zip(drawn.offsets[:-1], drawn.offsets[1:], strict=True):
        assert (np.diff(drawn.pixel[start:stop]) > 0).all()
    assert (drawn.count > 0).all()


def test_a_blank_shot_has_the_background_alone(make_sampler, small_geometry):
    shots = repeated(2000, 4)
    blank = Shots(
        **{name: getattr(shots, name) for name in ("fluence", "strength", "energy", "hit")},
        offsets=np.zeros(len(shots) + 1, np.int64),
        **{
            name: getattr(shots, name)[:0]
            for name in ("particle", "model", "orientation", "weight", "scale")
        },
    )
    drawn = make_sampler(0.05).draw(blank, 0)
    mean = 0.05 * len(small_geometry.good)
    assert drawn.totals().mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / 2000))
    assert not len(make_sampler().draw(blank, 0).pixel)


def test_pixels_beyond_a_volume_are_refused(make_sampler, volume, small_geometry):
    """Before anything is drawn, and when a shot's photon energy is higher than expected."""
    short = dataclasses.replace(volume, s_max=0.9 * small_geometry.s_max)
    with pytest.raises(SamplingError, match="the intensity volume was made to"):
        ExpectedPhotons([volume, short], small_geometry)
    shots = repeated(2, 0)
    shots.scale[1] = 1.2
    with pytest.raises(SamplingError, match="photon energies"):
        make_sampler().draw(shots, 0)


@pytest.mark.parametrize("rate", [{"background": -0.1}, {"extra": float("nan")}])
def test_rates_that_are_none_are_refused(volume, small_geometry, rate):
    with pytest.raises(SamplingError, match="in 1600 usable pixels; expected 0 or more"):
        ExpectedPhotons([volume], small_geometry, **rate)
