"""The harmonic engine against the dense one, on the same patterns and the same volume."""

from dataclasses import replace

import pytest
import torch

from baselines.emc.config import EmcConfig, Level
from baselines.emc.inputs import Inputs
from baselines.emc.iterate import Estimate, iterate
from baselines.emc.models import Model
from baselines.emc.posterior import posterior, posterior_reference
from baselines.emc.stage import make_stage
from xraisim.core.fourier import radius
from xraisim.core.fsc import intensity_correlation
from xraisim.core.radial import shell_s

PATTERNS = 120
CONFIG = EmcConfig(levels=(Level(reach=3.0, rotations=700, iterations=1),), oversampling=4.0)


@pytest.fixture(scope="module", params=[0.0, 0.5], ids=["dark", "background"])
def stages(request, particle, pixels, patterns_of):
    """The same level with both engines; a masked wedge, polarised gain, unequal fluences."""
    source = patterns_of(particle, pixels, PATTERNS, 300, background=request.param)
    every = torch.ones(PATTERNS, dtype=torch.bool)
    return [
        make_stage(Inputs(source, replace(CONFIG, engine=engine), every, torch.device("cpu")), 0)
        for engine in ("dense", "harmonic")
    ]


@pytest.fixture(scope="module")
def model(stages, particle):
    return Model(volume=particle.volume(*stages[0].grid), share=1.0)


def _every(tiles):
    """LL [n, R] of all tiles."""
    parts = [torch.cat([e + o, e - o]) for e, o in (tile.halves for tile in tiles)]
    return torch.cat(parts, 2).permute(1, 2, 0).flatten(1).double()


def _likelihoods(stage, model, known, fluence=1.0):
    stage.engine.begin([model], known, fluence)
    (rows,) = [rows for _, rows in stage.blocks(stage.chosen)]
    return rows, stage.engine.tiles(rows, stage.fluence() * fluence, None)


@pytest.mark.parametrize(("part", "tolerance", "alike"), [(1.0, 0.06, 0.8), (0.7, 0.1, 0.5)])
def test_likelihoods_differ_alike_between_orientations(stages, model, part, tolerance, alike):
    """Relative to the spread between orientations.

    A known edge cuts through rings of pixels, and the best often differs by half a turn there.
    """
    known = part * stages[0].s_max_per_angstrom
    dense, harmonic = (_every(_likelihoods(stage, model, known)[1]) for stage in stages)
    centred = [v - v.mean(1, keepdim=True) for v in (dense, harmonic)]
    error = (centred[1] - centred[0]).square().mean().sqrt()
    assert float(error / centred[0].square().mean().sqrt()) < tolerance
    assert float((dense.argmax(1) == harmonic.argmax(1)).float().mean()) > alike


def test_finer_rings_and_more_harmonics_come_closer(stages, model):
    dense, harmonic = stages
    known = dense.s_max_per_angstrom
    exact = _every(_likelihoods(dense, model, known)[1])
    errors = []
    for rings, band in ((3.0, 0.7), (4.0, 1.0), (8.0, 2.0)):
        config = replace(CONFIG, rings_per_speckle=rings, band=band)
        stage = make_stage(
            Inputs(harmonic.blocks.source, config, harmonic.chosen, torch.device("cpu")), 0
        )
        difference = _every(_likelihoods(stage, model, known)[1]) - exact
        errors.append(float((difference - difference.mean(1, keepdim=True)).std()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6 * errors[1]


@pytest.mark.parametrize(("beta", "tolerance"), [(0.01, 0.005), (1.0, 0.01)])
def test_expected_photons_and_signal_agree(stages, model, beta, tolerance):
    """At β = 1 a pattern between two orientations may fall to either."""
    found = []
    for stage in stages:
        rows, tiles = _likelihoods(stage, model, stage.s_max_per_angstrom)
        made = posterior(tiles, beta, 1e-6)
        found.append((stage.engine.exposure(made), stage.engine.signal(rows, made)))
    for dense, harmonic in zip(*found, strict=True):
        assert float((harmonic / dense - 1).abs().mean()) < tolerance


def test_an_iteration_gives_nearly_the_same_volume(stages, model):
    """From the truth, at a posterior that knows most of what there is to know."""
    made = []
    for stage in stages:
        now = Estimate(models=[model], fluence=stage.fluence(), known=stage.s_max_per_angstrom)
        made.append(iterate(now, stage, stage.chosen, None, 0.9))
    (dense, poses, _), (harmonic, other, _) = made
    volumes = [one.models[0].volume.values for one in (dense, harmonic)]
    s, edge = radius(*stages[0].grid), stages[0].s_max_per_angstrom
    known = (s > 0.15 * edge) & (s < 0.95 * edge)
    difference = (volumes[1] - volumes[0])[known].norm() / volumes[0][known].norm()
    assert float(difference) < 0.1
    scale = volumes[1][known].sum() / volumes[0][known].sum()
    assert float(scale) == pytest.approx(1, abs=0.01)
    shells = shell_s(*stages[0].grid)
    curve = intensity_correlation(*volumes)[(shells > 0.2 * edge) & (shells < 0.95 * edge)]
    assert float(curve.min()) > 0.93
    assert float((harmonic.fluence / dense.fluence - 1).abs().mean()) < 0.01
    assert float((other.evidence - poses.evidence).mean().abs()) < 0.02 * 300
    assert float((other.information - poses.information).abs().mean()) < 0.2


def test_a_sparse_posterior_looks_up_its_signal_where_it_is(stages, model):
    """The same number as from the signal's share at every column."""
    _, harmonic = stages
    rows, tiles = _likelihoods(harmonic, model, harmonic.s_max_per_angstrom)
    columns = sum(tile.halves[0].shape[2] for tile in tiles)
    everywhere = torch.arange(columns, dtype=torch.int32).repeat(PATTERNS, 1)
    near = harmonic.engine.tiles(rows, harmonic.fluence(), everywhere)
    sparse = posterior(near, 1.0, 1e-6, everywhere)
    dense = posterior_reference(tiles, 1.0, 1e-30)
    assert sparse.entries is not None
    found, expected = (harmonic.engine.signal(rows, one) for one in (sparse, dense))
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=0.05)


def test_candidates_are_columns_of_the_whole(stages, model):
    _, harmonic = stages
    rows, tiles = _likelihoods(harmonic, model, harmonic.s_max_per_angstrom)
    whole = torch.cat([t.halves[0] for t in tiles], 2)
    candidates = torch.arange(6, dtype=torch.int32).repeat(PATTERNS, 1)
    candidates[::2, 4:] = -1
    (some,) = harmonic.engine.tiles(rows, harmonic.fluence(), candidates)
    at = candidates.clamp_min(0).long().expand(len(whole), -1, -1)
    torch.testing.assert_close(
        some.halves[0], whole.gather(2, at) * (candidates >= 0), rtol=1e-4, atol=0.01
    )
    assert (some.prior == -torch.inf).equal(candidates < 0)
