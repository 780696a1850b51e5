"""Steps of a run by torch's forms, which a GPU would run, against the compiled loops."""

import dataclasses

import pytest
import torch

from xrai.config import AmortisedConfig
from xrai.poses.cells import CellProposals
from xrai.poses.finder import PoseFinder
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.posterior import Posterior
from xrai.rounds.amortised_start import _Attempt
from xrai.rounds.encoder_training import pixels_of
from xrai.sources.stream import PatternStream
from xrai.state.monitor import Monitor
from xraisim.core.dispatch import torch_forms
from xraisim.core.random import generator

_PATTERNS = 128


@pytest.fixture(scope="module")
def config(quick_config):
    start = AmortisedConfig(batch=64, steps=6, restarts=1, encoder=quick_config.encoder)
    return dataclasses.replace(quick_config, mode="amortised", amortised=start)


def steps_and_poses(patterns, config):
    """Return what the first steps end with, and modes and draws of some patterns."""
    with PatternStream(patterns, config.block, config.memory_gib) as stream:
        finder = PoseFinder(stream, config, torch.device("cpu"))
        (_, photons), *_ = stream.blocks(0, _PATTERNS)
        pixels = finder.pixels_within(finder.s_search)
        counts = photons.dense(max(len(pixels), len(pixels_of(finder))))
        attempt = _Attempt(finder, counts, photons, pixels, 0)
        start = attempt.run(Monitor(None, quiet=True))
        cells = CellProposals(
            start.volume, pixels, attempt._step.encoder, pixels_of(finder), gap=5.0
        )
        modes = finder.locate_in_cells(start.volume, photons, cells, finder.s_search)
        posterior = Posterior(PoseLikelihood(start.volume, pixels, photons), modes, 6.0)
        return start, posterior.likeliest, posterior.draw(generator(0, "draw"))


def test_torch_and_loops_take_the_same_steps(patterns, config):
    start, poses, drawn = steps_and_poses(patterns, config)
    with torch_forms():
        other_start, other_poses, other_drawn = steps_and_poses(patterns, config)
    assert other_start.loglik == pytest.approx(start.loglik, rel=1e-4)
    scale = float(start.volume.values.max())
    assert torch.allclose(other_start.volume.values, start.volume.values, atol=1e-3 * scale)
    assert torch.allclose(other_poses.loglik, poses.loglik, rtol=1e-3)
    alike = (drawn * other_drawn).sum(1).abs() > 0.999
    assert float(alike.double().mean()) > 0.9, "draws differ only where rounding tips a choice"
