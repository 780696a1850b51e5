"""Mode ``amortised``: it finds the orientations without a search, resumes exactly, reads once."""

import dataclasses
import json

import pytest
import torch

from tests.xrai.test_train import found_orientations, share_within, true_orientations
from xrai.config import AmortisedConfig
from xrai.poses.search import GridSearch
from xrai.state import checkpoint
from xrai.train import reconstruct, resume


@pytest.fixture(scope="module")
def config(quick_config):
    start = AmortisedConfig(
        batch=128, steps=500, restarts=1, learning_rate=4e-3, encoder=quick_config.encoder
    )
    return dataclasses.replace(quick_config, mode="amortised", amortised=start)


@pytest.fixture(scope="module")
def run(patterns, config, tmp_path_factory):
    directory = tmp_path_factory.mktemp("amortised") / "run"
    return directory, reconstruct(patterns, directory, config, quiet=True)


def events_of(directory, kind) -> list[dict]:
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def test_orientations_are_found(run, patterns):
    directory, _ = run
    found, true = found_orientations(directory / "poses.h5"), true_orientations(patterns)
    # Random orientations would put about 0.2 % of the patterns within 10°.
    assert share_within(found, true, 10.0) > 0.7


def test_the_start_ends_where_the_likelihood_rests(run):
    looks = [event for event in events_of(run[0], "start") if event["restart"] == 0]
    likelihood = [event["loglik_per_pattern"] for event in looks]
    assert likelihood[-1] > likelihood[0]
    assert looks[-1]["step"] <= 500
    assert looks[-1]["settled"] == 1


def test_nothing_is_searched_for_new_patterns(patterns, config, tmp_path, monkeypatch):
    asked = []
    original = GridSearch.best

    def best(self, photons, keep):
        asked.append(len(photons))
        return original(self, photons, keep)

    monkeypatch.setattr(GridSearch, "best", best)
    once = dataclasses.replace(config, single_pass=True)
    summary = reconstruct(patterns, tmp_path / "run", once, quiet=True)
    assert summary.patterns == 900
    # A search is asked for a probe alone, which doubts the volume at the end of each round.
    assert sum(asked) <= 256 * summary.figures["rounds"]


def test_a_run_that_is_stopped_goes_on_to_the_same_result(config, run, stop_after, assert_same):
    stopped = stop_after(config, 2)
    resume(stopped, quiet=True)
    assert_same(stopped, run[0])


def test_with_a_point_group_a_search_makes_the_start(patterns, config, tmp_path):
    config = dataclasses.replace(config, symmetry="C2", single_pass=True)
    reconstruct(patterns, tmp_path / "run", config, quiet=True)
    starts = events_of(tmp_path / "run", "start")
    assert all("opposite_sign" in one for one in starts), "both signs are tried"
    assert starts
    values = checkpoint.load(tmp_path / "run").require_volume().values
    turned = torch.rot90(values, 2, (0, 1))
    assert float((values - turned).abs().max()) < 1e-3 * float(values.max())
