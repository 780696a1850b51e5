"""Level after level and start after start, on patterns in memory."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.emc.checkpoint import State
from baselines.emc.config import EmcConfig, Level
from baselines.emc.inputs import Inputs
from baselines.emc.reconstruction import Reconstruction

PATTERNS = 150
LEVELS = (
    Level(reach=2.0, rotations=150, iterations=4, patterns=100, ramp=2),
    Level(reach=3.0, rotations=400, iterations=3),
    Level(reach=3.0, rotations=1000, iterations=3, search="local"),
)
CONFIG = EmcConfig(levels=LEVELS, restarts=2, block_patterns=64)


@pytest.fixture(scope="module")
def source(particle, pixels, patterns_of):
    return patterns_of(particle, pixels, PATTERNS, 200)


def _reconstruct(source, directory, config, progress=None):
    state = State(key="")
    every = torch.ones(source.n_patterns, dtype=torch.bool)
    inputs = Inputs(source, config, every, torch.device("cpu"))
    return Reconstruction(inputs, state, directory, progress).run(), state


def _log(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_starts_come_first_and_the_likeliest_goes_on(source, tmp_path):
    stage, state = _reconstruct(source, tmp_path, replace(CONFIG, tolerance=0.0))
    log = _log(tmp_path)
    assert [e["iteration"] for e in log] == list(range(1, len(log) + 1))
    assert [e["level"] for e in log] == sorted(e["level"] for e in log)
    assert {e["restart"] for e in log if e["level"] == 1} == {0, 1}
    assert len(state.starts) == 2
    leader = int(np.argmax(state.starts))
    reached = [e for e in log if e["level"] == 1 and e["restart"] == leader][-1]
    assert state.starts[leader] >= reached["log_likelihood_per_photon"]
    assert stage.number == 2
    assert state.poses_level == 2
    assert all(0 < e["beta"] <= 1 and e["seconds"] > 0 for e in log)


def test_a_level_is_left_when_it_gains_too_little(source, tmp_path):
    """Once two iterations beyond the ramp have been made."""
    counted = []
    _reconstruct(
        source, tmp_path, replace(CONFIG, tolerance=1e9), lambda n=1, remark="": counted.append(n)
    )
    levels = [e["level"] for e in _log(tmp_path)]
    assert [levels.count(level) for level in (1, 2, 3)] == [2 * 4, 3, 3]
    assert sum(counted) == CONFIG.iterations
    longer = replace(CONFIG, tolerance=1e9, levels=(replace(LEVELS[0], iterations=9), LEVELS[1]))
    _reconstruct(source, tmp_path, longer)
    assert [e["level"] for e in _log(tmp_path)].count(1) == 2 * 4


def test_half_sets_are_independent_and_agree(source, tmp_path):
    stage, state = _reconstruct(source, tmp_path, replace(CONFIG, halves=True))
    assert len(state.estimates) == 2
    even = torch.arange(PATTERNS) % 2 == 0
    for one, members in zip(state.estimates, (even, ~even), strict=True):
        assert (one.fluence[members] > 0).all()
        assert (one.fluence[~members] == 0).all()
    values = [one.models[0].volume.values for one in state.estimates]
    assert not values[0].equal(values[1])
    log = _log(tmp_path)
    assert not any("icc_half_0.143_angstrom" in e for e in log if e["level"] == 1)
    assert 0 < log[-1]["icc_half_0.143_angstrom"] < 60
    assert (state.poses.occupancy[stage.chosen] > 0).all()


def test_with_one_level_the_likeliest_start_is_the_result(source, tmp_path):
    config = replace(CONFIG, levels=(replace(LEVELS[0], patterns=0),), restarts=3)
    stage, state = _reconstruct(source, tmp_path, config)
    assert len(state.starts) == 3
    reached = float(state.poses.loglik.mean()) / stage.photons
    assert reached == pytest.approx(max(state.starts))
    assert state.estimates is state.leader
