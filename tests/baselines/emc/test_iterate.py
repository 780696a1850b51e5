"""Iterations: EM's promise, and what must not matter."""

from dataclasses import replace

import pytest
import torch

from baselines.emc.candidates import Candidates
from baselines.emc.compress import random_start
from baselines.emc.config import EmcConfig, Level
from baselines.emc.inputs import Inputs
from baselines.emc.iterate import Estimate, iterate
from baselines.emc.models import Model
from baselines.emc.orientations import oriented
from baselines.emc.stage import make_stage
from xraisim.core import rotations
from xraisim.core.symmetry import point_group
from xraisim.core.types import Photons

PATTERNS = 100
LEVEL = Level(reach=3.0, rotations=700, iterations=1)
CONFIG = EmcConfig(levels=(LEVEL,), block_patterns=64, engine="harmonic")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def source(particle, pixels, patterns_of):
    return patterns_of(particle, pixels, PATTERNS, 300)


@pytest.fixture(scope="module")
def foggy(particle, pixels, patterns_of):
    return patterns_of(particle, pixels, PATTERNS, 300, background=0.3)


def _stage(source, config=CONFIG, number=0):
    return make_stage(Inputs(source, config, torch.ones(PATTERNS, dtype=torch.bool), CPU), number)


def _random(stage, seed=0):
    draw = torch.Generator().manual_seed(seed)
    volume = random_start(stage.profile, stage.grid, 60.0, point_group("C1"), draw)
    return _estimate(stage, volume)


def _estimate(stage, volume):
    model = Model(volume=volume, share=1.0)
    return Estimate(models=[model], fluence=stage.fluence(), known=stage.s_max_per_angstrom)


def _close(found, expected, tolerance=1e-4):
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * scale)


def test_the_likelihood_never_falls_at_constant_beta(source):
    """Of EM, dense engine: each iteration gains until the rounding of the voxels is reached."""
    config = replace(CONFIG, engine="dense", oversampling=5.0, prior=1e-4)
    stage = _stage(source, config)
    now, evidence = _random(stage), []
    for _ in range(8):
        now, poses, beta = iterate(now, stage, stage.chosen, None, 1.0)
        assert beta == 1.0
        evidence.append(float(poses.evidence.mean()) / stage.photons)
    gain = torch.tensor(evidence).diff()
    assert float(gain.min()) > -1e-4
    assert float(gain.sum()) > 0.01


def test_fluences_have_mean_one_and_follow_the_truth(source, particle):
    stage = _stage(source)
    after, poses, _ = iterate(
        _estimate(stage, particle.volume(*stage.grid)), stage, stage.chosen, None, 0.9
    )
    assert float(after.fluence.mean()) == pytest.approx(1, abs=1e-5)
    together = torch.stack([after.fluence, source.fluence])
    assert float(torch.corrcoef(together)[0, 1]) > 0.88  # photons leave less than 6 %, of 30 %
    assert (poses.occupancy <= 1 + 1e-6).all()
    assert (poses.evidence <= poses.loglik + 1e-3).all()


@pytest.mark.parametrize("changes", [{"block_patterns": 7}, {"cache_gib": 0.0}])
def test_blocks_do_not_matter(source, changes):
    stage = _stage(source)
    whole, poses, _ = iterate(_random(stage), stage, stage.chosen, None, 0.7)
    config = replace(CONFIG, **changes)
    stage = _stage(source, config)
    parts, others, _ = iterate(_random(stage), stage, stage.chosen, None, 0.7)
    _close(parts.models[0].volume.values, whole.models[0].volume.values)
    _close(parts.fluence, whole.fluence)
    _close(others.evidence, poses.evidence)


@pytest.mark.parametrize("engine", ["dense", "harmonic"])
def test_classes_of_equal_fluence_are_the_same_as_one(foggy, engine):
    config = replace(CONFIG, engine=engine)
    made = []
    for classes in (1, 3):
        config = replace(config, fluence_classes=classes)
        stage = _stage(foggy, config)
        now = replace(_random(stage), fluence=torch.ones(PATTERNS))
        made.append(iterate(now, stage, stage.chosen, None, 0.7)[0])
    _close(made[1].models[0].volume.values, made[0].models[0].volume.values)
    _close(made[1].fluence, made[0].fluence)


@pytest.mark.parametrize("engine", ["dense", "harmonic"])
def test_a_pattern_without_photons_does_no_harm(source, engine):
    """Two iterations: its fluence is zero in the second."""
    first = source.photons.offsets[1]
    photons = Photons(
        offsets=(source.photons.offsets - first).clip(0),
        pixel=source.photons.pixel[first:],
        count=source.photons.count[first:],
    )
    config = replace(CONFIG, engine=engine)
    stage = _stage(replace(source, photons=photons), config)
    now = _random(stage)
    for _ in range(2):
        now, poses, _ = iterate(now, stage, stage.chosen, None, 0.7)
    assert float(now.fluence[0]) == 0
    assert poses.evidence.isfinite().all()
    assert now.models[0].volume.values.isfinite().all()


def test_patterns_that_are_not_members_take_no_part(source):
    stage = _stage(source)
    members = torch.arange(PATTERNS) % 2 == 0
    after, poses, _ = iterate(_random(stage), stage, members, None, 0.7)
    assert (after.fluence[~members] == 0).all()
    assert (poses.hypotheses[~members] == -1).all()
    assert float(after.fluence[members].mean()) == pytest.approx(1, abs=1e-5)


def _best(stage, poses):
    column, angle = poses.best.unbind(1)
    return oriented(stage.columns.frames[column], angle, stage.columns.angles)


@pytest.mark.parametrize("engine", ["dense", "harmonic"])
def test_local_search_finds_what_global_search_finds(source, particle, engine):
    """At a finer level, from the hypotheses of a coarse one."""
    levels = (replace(LEVEL, rotations=300), replace(LEVEL, rotations=2000, search="local"))
    config = replace(CONFIG, levels=levels, engine=engine)
    coarse, fine = _stage(source, config), _stage(source, config, 1)
    start = _estimate(coarse, particle.volume(*coarse.grid))
    _, poses, _ = iterate(start, coarse, coarse.chosen, None, 0.8)
    near = Candidates(poses.hypotheses, coarse.columns, fine.columns, config.group)
    start = _estimate(fine, start.models[0].volume)
    found, local, _ = iterate(start, fine, fine.chosen, near, 0.9)
    expected, everywhere, _ = iterate(start, fine, fine.chosen, None, 0.9)
    angle = rotations.angle_between(_best(fine, local), _best(fine, everywhere))
    assert float((angle < 1e-3).float().mean()) > 0.9
    change = found.models[0].volume.values - expected.models[0].volume.values
    assert float(change.norm() / expected.models[0].volume.values.norm()) < 0.1
