"""Mode ``paper`` through the same command: its own training, the same files, the same report."""

import dataclasses
import json

import h5py
import numpy as np
import pytest

from xrai.train import resume, train
from xraisim.core.errors import ConfigError
from xraisim.files.volumes import read_volume


def test_mode_paper_leaves_what_the_other_mode_leaves(patterns, quick_config, tmp_path):
    run = tmp_path / "run"
    summary = train(patterns, run, dataclasses.replace(quick_config, mode="paper"), quiet=True)
    assert summary["patterns"] == 900
    assert summary["rounds"] == 0
    events = [
        json.loads(line)["event"] for line in (run / "metrics.jsonl").read_text().splitlines()
    ]
    assert events[0] == "end_to_end"
    with h5py.File(run / "poses.h5") as file:
        assert np.array_equal(file["orientations"], file["encoder_orientations"])
        assert np.allclose(np.linalg.norm(file["orientations"], axis=1), 1, atol=1e-5)
    volume = read_volume(run / "intensity.h5")
    assert float(volume.values.min()) >= 0
    again = resume(run, quiet=True)  # nothing is left to do
    assert again["seconds"] == summary["seconds"]


def test_unknown_modes_are_refused(quick_config):
    with pytest.raises(ConfigError, match="expected one of hybrid, amortised, paper"):
        dataclasses.replace(quick_config, mode="published")
