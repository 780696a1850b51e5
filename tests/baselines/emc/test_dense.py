"""The dense engine against Poisson probabilities computed one by one."""

from dataclasses import replace

import pytest
import torch
from scipy import stats

from baselines.emc.dense import DenseEngine, product
from baselines.emc.expand import Profile
from baselines.emc.models import Columns, Model
from baselines.emc.orientations import OrientationGrid
from baselines.emc.posterior import posterior
from xraisim.core import rotations
from xraisim.core.errors import ConfigError
from xraisim.core.fourier import radius
from xraisim.core.merge import Accumulator
from xraisim.core.sampling import slice_volume

PATTERNS, FLUENCE = 9, 1.2


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["dark", "background"])
def case(request, particle, pixels, cube, patterns_of, orientations):
    """An engine that has begun, its patterns, and w [R, P] of every orientation."""
    source = patterns_of(particle, pixels, PATTERNS, 200, background=request.param, spread=0.0)
    signal = torch.ones(len(pixels)) * source.pixels.gain
    profile = Profile.of(source.pixels, signal, particle.diameter_angstrom)
    columns = Columns.of(orientations, [False])
    engine = DenseEngine(source.pixels, columns, profile)
    engine.begin([Model(volume=cube, share=1.0)], float(pixels.radius[-1]), FLUENCE)
    flat = cube.values / profile.at(radius(cube.grid, cube.spacing))
    matrix = rotations.to_matrix(columns.orientations())
    cut = slice_volume(flat, matrix, pixels.s, cube.spacing)
    rate = cut.clamp_min(1e-4) * profile.at(pixels.radius) * source.pixels.gain
    return engine, source, rate


def _every(tile):
    """LL [n, R], the angles of a column one after another."""
    even, odd = tile.halves
    return torch.cat([even + odd, even - odd]).permute(1, 2, 0).flatten(1)


def test_differences_of_orientations_are_those_of_the_poisson_sum(case):
    engine, source, rate = case
    rows = engine.prepare(source.photons)
    (tile,) = engine.tiles(rows, torch.full((PATTERNS,), FLUENCE), None)
    found = _every(tile).double()
    mean = (FLUENCE * rate + source.pixels.background).double().numpy()
    exact = torch.stack(
        [torch.from_numpy(stats.poisson.logpmf(k, mean).sum(1)) for k in rows.double().numpy()]
    )
    constant = (exact - found)[:, :1]
    torch.testing.assert_close(found + constant, exact, rtol=0, atol=5e-3)


def test_candidates_are_columns_of_the_whole(case):
    engine, source, _ = case
    rows, fluence = engine.prepare(source.photons), torch.ones(PATTERNS)
    candidates = torch.tensor([[3, 0, -1], [7, 2, 1]]).repeat(5, 1)[:PATTERNS].int()
    (whole,) = engine.tiles(rows, fluence, None)
    (some,) = engine.tiles(rows, fluence, candidates)
    for part, every in zip(some.halves, whole.halves, strict=True):
        at = candidates.clamp_min(0).long().expand(len(every), -1, -1)
        torch.testing.assert_close(part, every.gather(2, at))
    assert (some.prior == -torch.inf).equal(candidates < 0)


@pytest.mark.parametrize("beta", [0.002, 30.0])
def test_expected_photons_and_signal_are_means_over_the_posterior(case, beta):
    """With a dense and with a sparse posterior."""
    engine, source, rate = case
    rows = engine.prepare(source.photons)
    (tile,) = engine.tiles(rows, torch.full((PATTERNS,), FLUENCE), None)
    p = (beta * _every(tile).double()).softmax(1)
    found = posterior([tile], beta, 1e-6)
    assert (found.entries is not None) == (beta == 30)
    exposure = (p @ rate.double().sum(1)).float()
    torch.testing.assert_close(engine.exposure(found), exposure, rtol=1e-4, atol=0)
    lit = FLUENCE * rate.double()
    share = lit / (lit + source.pixels.background)
    signal = torch.einsum("nr,rp,np->n", p, share, rows.double()).float()
    torch.testing.assert_close(engine.signal(rows, found), signal, rtol=1e-4, atol=0)


def test_all_photons_and_exposures_reach_the_volume(case, cube, pixels):
    engine, source, _ = case
    rows = engine.prepare(source.photons)
    (tile,) = engine.tiles(rows, torch.ones(PATTERNS), None)
    found = posterior([tile], 0.1, 1e-9)
    fluence = 0.5 + torch.arange(PATTERNS) / 10
    signal = engine.signal(rows, found).sum()
    engine.collect(rows, fluence, found)
    merged = Accumulator.empty(cube.grid, cube.spacing)
    engine.finish([merged])
    assert float(merged.photons.sum()) == pytest.approx(float(signal), rel=0.02)
    assert float(merged.exposure.sum()) == pytest.approx(
        float(fluence.sum() * (source.pixels.gain).sum()), rel=1e-3
    )


def test_counts_times_logarithms():
    draw = torch.Generator().manual_seed(0)
    counts, logs = torch.randn(3, 8, generator=draw).round(), torch.randn(5, 8, generator=draw)
    torch.testing.assert_close(product(counts, logs), counts @ logs.T)


def test_what_does_not_fit_is_refused(pixels, orientations):
    profile = Profile.of(pixels, pixels.gain, 60.0)
    many = replace(orientations, frames=orientations.frames[:1].expand(10**6, 4))
    with pytest.raises(ConfigError, match='engine = "harmonic"'):
        DenseEngine(pixels, Columns.of(many, [False]), profile)
    assert isinstance(many, OrientationGrid)
