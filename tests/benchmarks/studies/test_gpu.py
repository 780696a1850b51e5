"""The scripts of X-RAI's GPU experiments, tried out on the CPU, and their counting."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.studies.gpu import xrai_offline, xrai_online, xrai_run, xrai_steps
from benchmarks.studies.gpu.traffic import Traffic
from xrai import config

_SIMULATE = """
[[species]]
shape = "icosahedron"
size_nm = 4.0
material = "gold"

[beam]
photons_per_pulse = 3e15

[detector]
rows = 32
columns = 32
pixel_size_mm = 3.125
s_min_per_angstrom = 0.004
s_max_per_angstrom = 0.08
"""


def test_traffic_of_a_product_a_sum_and_views():
    a, b = torch.ones(3, 5), torch.ones(5, 7)
    with Traffic() as traffic:
        (a @ b).T.sum()
    assert traffic.bytes == 4 * (15 + 35 + 21) + 4 * (21 + 1)
    assert traffic.flops == 2 * 3 * 5 * 7 + 1


def test_traffic_counts_what_is_taken_and_expanded_once():
    table, rows = torch.ones(1000), torch.tensor([3, 5])
    with Traffic() as traffic:
        table[rows]
    assert traffic.bytes == 2 * 8 + 2 * 2 * 4
    with Traffic() as traffic:
        torch.ones(1).expand(100) + 1.0
    assert traffic.bytes == 4 + 4 + 400


def test_traffic_counts_a_given_output_once_and_empty_memory_not():
    a = torch.ones(10)
    with Traffic() as traffic:
        torch.mul(a, 2.0, out=torch.empty(10))
    assert traffic.bytes == 2 * 40


def test_time_to_resolution_is_the_first_round_that_reached_it():
    rounds = [
        {"icc_half_0.143_angstrom": None, "elapsed_s": 1.0, "patterns_seen": 10},
        {"icc_half_0.143_angstrom": 45.0, "elapsed_s": 2.0, "patterns_seen": 20},
        {"icc_half_0.143_angstrom": 39.0, "elapsed_s": 3.0, "patterns_seen": 30},
    ]
    found = {
        line["icc_half_0.143_angstrom"]: line["elapsed_s"]
        for line in xrai_run.time_to_resolution(rounds)
    }
    assert found == {60.0: 2.0, 50.0: 2.0, 40.0: 3.0}


def test_the_long_run_fits_into_its_time():
    rounds = [{"patterns_per_s": 20_000.0}, {"patterns_per_s": 10_000.0}]
    assert xrai_online.affordable(rounds, 5_000_000, 300.0) == 3_000_000
    assert xrai_online.affordable(rounds, 1_000_000, 300.0) == 1_000_000


@pytest.mark.parametrize(
    ("script", "name", "mode"),
    [
        (xrai_online, "online", "hybrid"),
        (xrai_online, "online", "amortised"),
        (xrai_offline, "offline", "hybrid"),
    ],
)
def test_a_script_runs_end_to_end(script, name, mode, tmp_path: Path, monkeypatch, quick_settings):
    (tmp_path / "simulate.toml").write_text(_SIMULATE)
    record = tmp_path / "record.json"
    settings = dataclasses.replace(quick_settings, single_pass=script is xrai_online)
    monkeypatch.setattr(script, "_CONFIG", settings)
    arguments = f"{name} --device cpu --mode {mode} --patterns 600 --out run"
    arguments += " --simulate simulate.toml"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [*arguments.split(), "--record", str(record)])
    script.main()
    found = json.loads(record.read_text())
    assert found[name]["result"]["patterns"] == 600
    assert found[name]["rounds"][0]["patterns_per_s"] > 0
    steps = {line["step"] for line in found["steps"]}
    assert steps == {"grid search", "two candidates", "scores", "misfit", "merge"}
    assert all(line["bytes_per_pattern"] > 4 * line["pixels"] for line in found["steps"])
    assert all(line["share_of_peak"] > 0 for line in found["steps"])
    slopes = [found["differences"].pop(name) for name in ("gradient", "fisher")]
    assert max(slopes) < 0.01
    assert 0 < max(found["differences"].values()) < 1e-3, "they round otherwise, and find the same"


@pytest.fixture
def quick_settings(monkeypatch):
    """Settings that end in seconds, and small matrices for the peaks."""
    monkeypatch.setattr(xrai_steps, "_MATRIX", {"cpu": 64})
    monkeypatch.setattr(xrai_steps, "_COPIED", {"cpu": 2**16})
    return config.TrainConfig(
        block=300,
        start=config.StartConfig(rotations=200, steps=8, batch=64, restarts=1),
        amortised=config.AmortisedConfig(steps=8, batch=64, restarts=1),
        search=config.SearchConfig(rotations=200, hypotheses=2),
        rounds=config.RoundsConfig(patterns=300, final=1, patience=1),
        encoder=config.EncoderConfig(steps=2, batch=16, channels=4),
    )
