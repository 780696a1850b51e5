"""Patterns of different particles, and of none, in one file."""

from dataclasses import replace

import pytest
import torch

from baselines.emc.config import EmcConfig, Level
from baselines.emc.inputs import Inputs
from baselines.emc.iterate import Estimate, iterate
from baselines.emc.models import Model
from baselines.emc.stage import make_stage
from xraisim.core.fourier import radius
from xraisim.core.radial import radial_mean
from xraisim.core.types import Photons, Volume

LEVEL = Level(reach=3.0, rotations=700, iterations=1)


def _stage(source, config):
    every = torch.ones(source.n_patterns, dtype=torch.bool)
    return make_stage(Inputs(source, config, every, torch.device("cpu")), 0)


def _classes(stage, values, config, iterations):
    """Iterate from volumes; return each pattern's class and the estimate."""
    models = [
        Model(
            volume=Volume(values=v, spacing=stage.grid[1], kind="intensity"),
            share=1 / len(values),
            isotropic=isotropic,
        )
        for v, isotropic in zip(values, config.isotropic, strict=True)
    ]
    now = Estimate(models=models, fluence=stage.fluence(), known=stage.s_max_per_angstrom)
    for _ in range(iterations):
        now, poses, _ = iterate(now, stage, stage.chosen, None, 0.85)
    return stage.columns.number[poses.best[:, 0]], now


@pytest.mark.parametrize("engine", ["dense", "harmonic"])
def test_two_particles_are_told_apart(particle, another, pixels, patterns_of, engine):
    """From volumes that are each the mean of both, but for a tenth."""
    sources = [
        patterns_of(one, pixels, count, 500, spread=0.2, seed=seed)
        for one, count, seed in ((particle, 160, 1), (another, 80, 2))
    ]
    mixed = replace(sources[0], photons=Photons.joined([one.photons for one in sources]))
    config = EmcConfig(levels=(LEVEL,), classes=2, engine=engine)
    stage = _stage(mixed, config)
    first, second = (one.volume(*stage.grid).values for one in (particle, another))
    start = [0.6 * first + 0.4 * second, 0.4 * first + 0.6 * second]
    number, now = _classes(stage, start, config, 6)
    assert float((number[:160] == 0).float().mean()) > 0.9
    assert float((number[160:] == 1).float().mean()) > 0.9
    assert [model.share for model in now.models] == pytest.approx([2 / 3, 1 / 3], abs=0.06)


def _form(s):
    """Form factor of a ball of 25 Å radius."""
    x = 2 * torch.pi * 25 * s.clamp_min(1e-4)
    return (3 * (x.sin() - x * x.cos()) / x**3) ** 2


@pytest.mark.parametrize("kind", ["ball", "blank"])
def test_junk_is_put_aside(particle, pixels, patterns_of, sparse, kind):
    """Balls, from a volume of junk that is half a ball; blanks, from the mean particle."""
    hits = patterns_of(particle, pixels, 160, 500, spread=0.2, background=0.05)
    draw, expected = torch.Generator().manual_seed(5), hits.pixels.background
    if kind == "ball":
        ball = hits.pixels.gain * _form(pixels.radius)
        expected = expected + ball * (500 / ball.sum())
    junk = sparse(torch.poisson(expected.expand(30, -1), generator=draw))
    photons = Photons.joined([hits.photons, junk])
    config = EmcConfig(levels=(LEVEL,), junk=1, engine="harmonic")
    stage = _stage(replace(hits, photons=photons), config)
    values = particle.volume(*stage.grid).values
    mean = radial_mean(values, torch.ones_like(values))
    form = _form(radius(*stage.grid)) * (kind == "ball")
    form = form * ((mean * form).sum() / form.square().sum().clamp_min(1e-9))
    start = [0.6 * values + 0.4 * mean, 0.5 * mean + 0.5 * form]
    number, now = _classes(stage, start, config, 6)
    assert float((number[:160] == 1).float().mean()) < 0.05
    assert float((number[160:] == 1).float().mean()) > 0.9
    volume = now.models[1].volume.values
    torch.testing.assert_close(
        volume, radial_mean(volume, torch.ones_like(volume)), rtol=1e-4, atol=0
    )
