"""The draw in torch, on the CPU always and on a CUDA device where there is one (``-m gpu``)."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from xraisim.core.errors import DeviceError, SamplingError
from xraisim.core.types import Photons
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry
from xraisim.photons.expected import ExpectedPhotons
from xraisim.photons.hits import BLANK, MULTIPLE, SINGLE
from xraisim.photons.shots import Shots, draw_orientations
from xraisim.photons.torch_draw import TorchPhotonSampler
from xraisim.scattering.intensity import intensity_spline

from .conftest import poisson_pvalue

ENERGY_EV = 4600.0
PIXELS = 1600
EXTRA = 0.01


@pytest.fixture(scope="module")
def seen():
    """40² pixels with a beamstop; 120 atoms fill them with 0.01 to 50 photons each."""
    setting = Detector(rows=40, columns=40, pixel_size_mm=2.0, beamstop_radius_mm=1.5)
    return geometry(setting, Beam(photons_per_pulse=5e17))


@pytest.fixture(scope="module")
def volumes(cloud, seen):
    """The cloud, and its half with twice as fine a grid."""
    half = dataclasses.replace(
        cloud,
        positions=cloud.positions[:60],
        elements=cloud.elements[:60],
        occupancy=cloud.occupancy[:60],
        b_iso=cloud.b_iso[:60],
    )
    reach = 1.05 * seen.s_max
    return [
        intensity_spline(cloud, reach, ENERGY_EV),
        intensity_spline(half, reach, ENERGY_EV, voxels_per_speckle=6.0),
    ]


@pytest.fixture
def make_expected(volumes, seen):
    def make(gain: float = 1.0) -> ExpectedPhotons:
        background = np.linspace(0, 0.1, PIXELS)
        return ExpectedPhotons(
            volumes, seen, gain=gain * seen.gain, background=background, extra=EXTRA
        )

    return make


@pytest.fixture
def make_sampler(make_expected, device):
    def make(seed: int = 0, gain: float = 1.0) -> TorchPhotonSampler:
        return TorchPhotonSampler(make_expected(gain), seed=seed, device=device)

    return make


def make_shots(exposures: list[int], seed: int = 1) -> Shots:
    """Return shots of so many exposures each, of either volume, with all that may vary."""
    offsets = np.concatenate([[0], np.cumsum(exposures)]).astype(np.int64)
    m, n, rng = int(offsets[-1]), len(exposures), np.random.default_rng(seed)
    kind = np.select(
        [np.array(exposures) == 0, np.array(exposures) == 1], [BLANK, SINGLE], MULTIPLE
    )
    return Shots(
        offsets=offsets,
        particle=np.arange(m, dtype=np.int32) - np.repeat(offsets[:-1], exposures).astype(np.int32),
        model=rng.integers(0, 2, m).astype(np.int32),
        orientation=draw_orientations(seed, np.arange(m)),
        weight=rng.uniform(0.5, 1.5, m).astype(np.float32),
        scale=rng.uniform(0.95, 1.05, m).astype(np.float32),
        fluence=np.ones(n, np.float32),
        strength=rng.uniform(0.5, 1.5, n).astype(np.float32),
        energy=np.ones(n, np.float32),
        hit=kind.astype(np.uint8),
    )


def repeated(shots: Shots, copies: int) -> Shots:
    """Return the only shot of ``shots`` many times."""
    m = len(shots.model)
    fields = {f.name: getattr(shots, f.name) for f in dataclasses.fields(Shots)}
    tiled = {name: np.concatenate([x] * copies) for name, x in fields.items() if name != "offsets"}
    return Shots(offsets=m * np.arange(copies + 1), **tiled)


def test_expected_photons_are_those_of_the_plain_form(make_sampler, make_expected, seen):
    """Both volumes, 0 to 3 exposures, scales and strengths, within float32's rounding."""
    shots = make_shots([1, 0, 3, 1, 2])
    found = make_sampler().expected(shots).cpu().numpy()
    wanted = make_expected().of(shots)[:, seen.good]
    assert wanted.max() > 20
    # A look-up's position is rounded to 10⁻⁷ of the cube, so dim pixels err with bright neighbours.
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-4)


def test_bounds_are_never_below_the_means(volumes, seen, device):
    """A pixel is left out for its bound alone, so one that is too low loses photons.

    Single bright voxels, which a bound that overlooks a neighbour of its block misses.
    """
    rng = np.random.default_rng(9)
    peaks = (rng.exponential(size=v.coefficients.shape).astype("f4") ** 6 for v in volumes)
    rough = [dataclasses.replace(v, coefficients=p) for v, p in zip(volumes, peaks, strict=True)]
    sampler = TorchPhotonSampler(ExpectedPhotons(rough, seen), seed=0, device=device)
    shots = make_shots([1, 2, 0, 3, *[1] * 40])
    bounds = sampler._bounds(sampler._batch(shots, 0))
    assert (sampler.expected(shots) <= bounds * (1 + 1e-5)).all()


def test_bounds_spare_look_ups(make_sampler):
    shots, sampler = make_shots([1] * 20), make_sampler()
    bounds = sampler._bounds(sampler._batch(shots, 0))
    assert bounds.mean() < 8 * sampler.expected(shots).mean()


def test_photons_have_the_mean_and_variance_of_poisson(make_sampler, make_expected, seen):
    """Every usable pixel over 1,500 draws of one shot, packed or not, dim or bright."""
    n, one = 1500, make_shots([2])
    mean = make_expected().of(one)[0, seen.good]
    assert mean.min() < 0.2
    assert mean.max() > 20
    photons = make_sampler(seed=2).draw(repeated(one, n), 0)
    counts = photons.dense(PIXELS).numpy()[:, seen.good]
    z = (counts.sum(0) - n * mean) / np.sqrt(n * mean)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert stats.chi2.sf((z**2).sum(), len(z)) > 1e-3
    ratio = counts.var(0) / mean
    assert ratio.mean() == pytest.approx(1, abs=4 * np.sqrt(2 / n / len(mean)) + 0.002)
    total = counts.sum(1)
    assert total.var() / total.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / n))
    for target in (0.3, 1.5, 6.0, 15.0):
        pixel = int(np.argmin(np.abs(mean - target)))
        assert poisson_pvalue(counts[:, pixel], mean[pixel]) > 1e-3


def test_dark_patterns_keep_their_photons(make_sampler, make_expected):
    """λ of 10⁻³ and less: nearly no pixel is looked up, and the mean is still right."""
    n, one = 20_000, make_shots([1])
    one = dataclasses.replace(one, strength=np.zeros(1, np.float32))
    mean = make_expected(gain=1e-4).of(one).sum()
    photons = make_sampler(gain=1e-4).draw(repeated(one, n), 0)
    assert abs(photons.count.sum() - n * mean) < 4 * np.sqrt(n * mean)


def test_patterns_depend_on_seed_and_number_alone(make_sampler):
    """The same for every batch size and for every cut into calls; another seed gives others."""
    shots, sampler = make_shots([1, 0, 3, 1, 2, 1, 0, 1]), make_sampler(seed=4)
    whole = sampler.draw(shots, 2**32 - 3)
    one_by_one = make_sampler(seed=4)
    one_by_one._shots_at_a_time = 1
    assert_same(one_by_one.draw(shots, 2**32 - 3), whole)
    late = shots.part(3, 8)
    assert_same(sampler.draw(late, 2**32), whole.take(np.arange(3, 8)))
    assert len(make_sampler(seed=5).draw(shots, 2**32 - 3).pixel) != len(whole.pixel)
    assert len(sampler.draw(shots, 0).pixel) != len(whole.pixel)


def assert_same(found: Photons, wanted: Photons) -> None:
    for name in ("offsets", "pixel", "count"):
        assert (getattr(found, name) == getattr(wanted, name)).all()


def test_entries_are_sorted_positive_and_off_the_mask(make_sampler, seen):
    photons = make_sampler().draw(make_shots([1, 2, 0, 1]), 10)
    assert (photons.offsets.dtype, photons.pixel.dtype, photons.count.dtype) == (
        np.int64, np.int32, np.int32,
    )  # fmt: skip
    assert (np.diff(photons.rows() * PIXELS + photons.pixel) > 0).all()
    assert photons.count.min() >= 1
    assert not seen.mask[photons.pixel].any()


def test_a_blank_has_its_background_alone(make_sampler, seen):
    n, blank = 4000, make_shots([0])
    mean = (blank.strength[0] * np.linspace(0, 0.1, PIXELS) + EXTRA)[seen.good].sum()
    totals = make_sampler().draw(repeated(blank, n), 0).totals()
    assert poisson_pvalue(totals, mean) > 1e-3


def test_every_tensor_is_made_on_the_device_of_the_sampler(make_sampler):
    """A tensor on the default device, here one without memory, meets the others and fails."""
    sampler, shots = make_sampler(gain=30.0), make_shots([1, 0, 3])
    wanted = sampler.draw(shots, 5)
    assert wanted.count.max() > 20, "bright pixels are drawn too"
    with torch.device("meta"):
        assert_same(sampler.draw(shots, 5), wanted)


def test_nothing_asked_nothing_drawn(make_sampler):
    photons = make_sampler().draw(make_shots([]), 0)
    assert len(photons) == 0
    assert len(photons.pixel) == 0


def test_pixels_beyond_a_volume_are_refused(make_sampler):
    shots = make_shots([1, 2])
    shots.scale[2] = 1.2
    with pytest.raises(SamplingError, match="photon energies"):
        make_sampler().draw(shots, 0)


def test_a_device_that_is_not_there_is_refused(make_expected):
    with pytest.raises(DeviceError, match="no compute device 'cuda:99'"):
        TorchPhotonSampler(make_expected(), seed=0, device="cuda:99")
