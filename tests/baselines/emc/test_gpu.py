"""Iterations on a GPU against the CPU."""

from dataclasses import replace

import pytest
import torch

from baselines.emc.candidates import Candidates
from baselines.emc.config import EmcConfig, Level
from baselines.emc.inputs import Inputs
from baselines.emc.iterate import Estimate, iterate
from baselines.emc.models import Model
from baselines.emc.stage import make_stage

PATTERNS = 100
LEVEL = Level(reach=3.0, rotations=700, iterations=1)


def _iterations(source, particle, config, device):
    """One iteration of global search, and one of local search from it."""
    every = torch.ones(PATTERNS, dtype=torch.bool)
    stage = make_stage(Inputs(source, config, every, torch.device(device)), 0)
    model = Model(volume=particle.volume(*stage.grid).to(device), share=1.0)
    now = Estimate(models=[model], fluence=stage.fluence(), known=stage.s_max_per_angstrom)
    now, poses, _ = iterate(now, stage, every, None, 0.7)
    near = Candidates(poses.hypotheses, stage.columns, stage.columns, config.group)
    return now, *iterate(now, stage, every, near, 0.8)[:2]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("engine", ["dense", "harmonic"])
@pytest.mark.parametrize("background", [0.0, 0.3])
def test_iterations_are_those_of_the_cpu(particle, pixels, patterns_of, engine, background):
    """Up to float32, and half precision in the dense engine's product."""
    source = patterns_of(particle, pixels, PATTERNS, 300, background=background)
    config = replace(EmcConfig(levels=(LEVEL,)), engine=engine)
    first, second, poses = _iterations(source, particle, config, "cpu")
    found = _iterations(source, particle, config, "cuda")
    for one, other in ((first, found[0]), (second, found[1])):
        values, expected = other.models[0].volume.values.cpu(), one.models[0].volume.values
        assert float((values - expected).norm() / expected.norm()) < 0.01
        torch.testing.assert_close(other.fluence, one.fluence, rtol=0.02, atol=0)
    torch.testing.assert_close(found[2].evidence, poses.evidence, rtol=0, atol=0.5)
