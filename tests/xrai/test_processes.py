"""A reconstruction by two processes: what one finds, within rounding, and one set of files."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from xrai.config import AmortisedConfig
from xraisim.core import config as toml
from xraisim.core.symmetry import angle_modulo_mate
from xraisim.files.volumes import read_volume

_COMMAND = "from xrai.cli import main; main()"


@pytest.fixture
def train_in(torchrun):
    """Train in so many processes."""

    def train(count: int, patterns: Path, config: Path, out: Path) -> None:
        command = ("train", patterns, "--out", out, "--config", config, "--json")
        done = torchrun(count, "-c", _COMMAND, *command)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["method"] == "xrai"  # printed once

    return train


def test_two_processes_find_what_one_finds(train_in, patterns, brief_config, brief_run, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(toml.dumps(brief_config))
    one, two = brief_run, tmp_path / "two"
    train_in(2, patterns, config, two)
    assert {p.name for p in one.iterdir()} == {p.name for p in two.iterdir()}
    for run in (one, two):
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        numbers = [event["number"] for event in events if event["event"] == "round"]
        assert numbers == list(range(1, len(numbers) + 1)), "each round once: one process writes"
    poses = []
    for run in (one, two):
        with h5py.File(run / "poses.h5") as file:
            poses.append(torch.from_numpy(file["orientations"][()]))
    # Rounding in the start's gradients grows: a few patterns settle in another pose.
    assert float((angle_modulo_mate(*poses) < 3).float().mean()) > 0.8
    first, second = (read_volume(run / "half_1.h5").values.numpy() for run in (one, two))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.99


def test_tasks_of_srun_take_the_steps_that_one_process_takes(
    repository, train_in, patterns, quick_config, tmp_path
):
    """Two processes with the variables of ``srun``, in the amortised mode."""
    encoder = quick_config.encoder
    start = AmortisedConfig(batch=128, steps=100, restarts=1, settled=10.0, encoder=encoder)
    config = replace(quick_config, mode="amortised", amortised=start, single_pass=True)
    settings = tmp_path / "config.toml"
    settings.write_text(toml.dumps(config))
    train_in(1, patterns, settings, tmp_path / "one")
    step = {
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
    }  # fmt: skip
    arguments = ["train", str(patterns), "--out", str(tmp_path / "two"), "--config", str(settings)]
    tasks = [
        subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *arguments],
            env=os.environ
            | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", **step}
            | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in "01"
    ]  # fmt: skip
    for task in tasks:
        said, _ = task.communicate(timeout=300)
        assert task.returncode == 0, said
    looks = []
    for name in ("one", "two"):
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        events = [event for line in lines if (event := json.loads(line))["event"] == "start"]
        looks.append([event["loglik_per_pattern"] for event in events])
    # Rounding in the sums of gradients grows, as a candidate drawn otherwise changes all that
    # follows: the likelihoods gained agree within the spread.
    assert len(looks[0]) == len(looks[1]) == 3
    assert looks[0][0] == pytest.approx(looks[1][0], rel=1e-6)
    gained = [np.subtract(one[1:], one[0]) for one in looks]
    assert gained[0] == pytest.approx(gained[1], rel=0.2)
