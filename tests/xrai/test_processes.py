"""A reconstruction by two processes: what one finds, within rounding, and one set of files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import torch

from xrai.poses import angle_modulo_mate
from xraisim.core import config as toml
from xraisim.files.volumes import read_volume

_COMMAND = "from xrai.cli import main; main()"


def train_in(count: int, repository: Path, patterns: Path, config: Path, out: Path) -> None:
    launcher = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", str(count), "--no-python",
    ]  # fmt: skip
    command = [
        *launcher, sys.executable, "-c", _COMMAND,
        "train", str(patterns), "--out", str(out), "--config", str(config), "--json",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == "xrai"  # printed once


def test_two_processes_find_what_one_finds(repository, patterns, brief_config, brief_run, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(toml.dumps(brief_config))
    one, two = brief_run, tmp_path / "two"
    train_in(2, repository, patterns, config, two)
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
