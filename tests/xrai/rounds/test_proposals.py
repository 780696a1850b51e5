"""Who proposes poses of new patterns: counted costs and the likelihood decide, never a clock."""

import json
import random
import time
from dataclasses import replace

import h5py
import pytest

from xrai import train
from xrai.poses.search import GridSearch


@pytest.fixture
def run(patterns, brief_config, tmp_path):
    """Return a function: a single pass in three rounds → its events, and its orientations."""

    def single_pass(name):
        rounds = replace(brief_config.rounds, patterns=300)
        config = replace(brief_config, single_pass=True, rounds=rounds)
        train.reconstruct(patterns, tmp_path / name, config, quiet=True)
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        with h5py.File(tmp_path / name / "poses.h5") as file:
            return [json.loads(line) for line in lines], file["orientations"][()]

    return single_pass


def test_a_dear_search_is_left_to_the_encoder_whatever_the_clock_says(run, monkeypatch):
    monkeypatch.setattr(GridSearch, "cost", property(lambda self: 10**12))
    events, first = run("first")
    asked = [one for one in events if one["event"] == "proposals"]
    assert asked
    assert all(one["cost_encoder_over_grid"] < 0.5 for one in asked)
    for clock in ("process_time", "perf_counter", "thread_time"):
        monkeypatch.setattr(time, clock, random.random)
    _, second = run("second")
    assert (first == second).all()


def test_a_cheap_search_is_not_put_to_the_test(run):
    events, _ = run("cheap")
    assert not [one for one in events if one["event"] == "proposals"]
