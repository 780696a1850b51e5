"""A level made concrete."""

from dataclasses import replace

import pytest
import torch

from baselines.emc.config import EmcConfig, Level
from baselines.emc.dense import DenseEngine
from baselines.emc.harmonic import HarmonicEngine
from baselines.emc.inputs import Inputs
from baselines.emc.stage import make_stage
from xraisim.core.errors import SamplingError

PATTERNS = 40
LEVEL = Level(reach=2.0, rotations=60, iterations=1)


@pytest.fixture(scope="module")
def source(particle, pixels, patterns_of):
    return patterns_of(particle, pixels, PATTERNS, 100, background=0.2)


def _stage(source, level=LEVEL, chosen=None, **changes):
    config = EmcConfig(levels=(level, replace(LEVEL, reach=9.0)), **changes)
    every = torch.ones(PATTERNS, dtype=torch.bool) if chosen is None else chosen
    return make_stage(Inputs(source, config, every, torch.device("cpu")), 0)


def test_pixels_go_as_far_as_the_level_or_d_min(source):
    stage = _stage(source)
    assert stage.s_max_per_angstrom <= 2.0 / 60
    assert len(stage.pixels) == source.pixels.count_below(2.0 / 60)
    capped = _stage(source, d_min_angstrom=40.0)
    assert capped.d_min_angstrom >= 40.0
    assert len(capped.pixels) == source.pixels.count_below(1 / 40)
    edge = stage.grid[0] // 2 * stage.grid[1]
    assert edge > stage.s_max_per_angstrom


def test_the_first_of_the_chosen_patterns_take_part(source):
    chosen = torch.arange(PATTERNS) % 2 == 1
    stage = _stage(source, replace(LEVEL, patterns=5), chosen)
    assert stage.chosen.nonzero()[:, 0].tolist() == [1, 3, 5, 7, 9]
    assert int((stage.survey.totals > 0).sum()) == 5
    assert stage.photons == pytest.approx(float(stage.survey.totals[stage.chosen].mean()))


def test_fluences_begin_with_the_signal_photons(source):
    stage = _stage(source)
    fluence = stage.fluence()
    assert float(fluence[stage.chosen].mean()) == pytest.approx(1)
    assert (fluence > 0).all()
    correlation = torch.corrcoef(torch.stack([fluence, source.fluence]))[0, 1]
    assert float(correlation) > 0.4


def test_the_engine_is_the_one_asked_for(source):
    assert isinstance(_stage(source, engine="harmonic").engine, HarmonicEngine)
    assert isinstance(_stage(source, engine="dense").engine, DenseEngine)


def test_levels_without_pixels_or_photons_are_refused(source):
    with pytest.raises(SamplingError, match="at least 32 are needed"):
        _stage(source, replace(LEVEL, reach=0.6))
    dark = replace(source.photons, count=0 * source.photons.count)
    with pytest.raises(SamplingError, match="no photons above the background"):
        _stage(replace(source, photons=dark))
