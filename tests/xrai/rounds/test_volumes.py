"""``volume.form = "implicit"``: networks hold the volume of a run, learn on, and resume exactly."""

import dataclasses

import pytest
import torch

from tests.xrai.test_train import found_orientations, share_within, true_orientations
from xrai.decoder import FitConfig, VolumeConfig
from xrai.state import checkpoint
from xrai.train import reconstruct, resume


@pytest.fixture(scope="module")
def config(quick_config):
    fit = FitConfig(steps=120, steps_per_round=30, batch=4096, learning_rate=1e-2)
    return dataclasses.replace(quick_config, volume=VolumeConfig(form="implicit", fit=fit))


@pytest.fixture(scope="module")
def run(patterns, config, tmp_path_factory):
    directory = tmp_path_factory.mktemp("implicit") / "run"
    reconstruct(patterns, directory, config, quiet=True)
    return directory


def test_orientations_are_found(run, patterns):
    found, true = found_orientations(run / "poses.h5"), true_orientations(patterns)
    # Random orientations would put about 0.2 % of the patterns within 10°.
    assert share_within(found, true, 10.0) > 0.7


def test_the_volume_is_the_mean_of_what_the_networks_hold(run):
    state = checkpoint.load(run)
    assert len(state.networks) == 2
    shapes = [{name: one.shape for name, one in each.items()} for each in state.networks]
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == 7  # weights and biases of three layers, the features' frequencies
    assert not torch.equal(*(each["network.0.weight"] for each in state.networks))
    assert float(state.require_volume().values.min()) > 0


def test_a_run_that_is_stopped_goes_on_to_the_same_result(config, run, stop_after, assert_same):
    stopped = stop_after(config, 2)
    resume(stopped, quiet=True)
    assert_same(stopped, run)
