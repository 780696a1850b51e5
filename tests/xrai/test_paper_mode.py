"""Mode ``paper`` through the same command: its own training, the same files, the same report."""

import dataclasses
import json
import os
import signal

import h5py
import numpy as np
import pytest

from xrai.encoder.config import EndToEndConfig
from xrai.rounds.end_to_end import EndToEnd
from xrai.state import checkpoint
from xrai.train import reconstruct, resume
from xraisim.core.errors import ConfigError
from xraisim.files.volumes import read_volume
from xraisim.stopping import Stopped


def test_mode_paper_leaves_what_the_other_mode_leaves(patterns, quick_config, tmp_path):
    run = tmp_path / "run"
    summary = reconstruct(
        patterns, run, dataclasses.replace(quick_config, mode="paper"), quiet=True
    )
    assert summary.patterns == 900
    assert summary.figures["rounds"] == 0
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
    assert again.seconds == summary.seconds


def test_it_is_kept_after_every_pass_and_goes_on(patterns, quick_config, tmp_path, monkeypatch):
    config = dataclasses.replace(
        quick_config, mode="paper", end_to_end=EndToEndConfig(epochs=2, channels=4, reach=3.0)
    )
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    reconstruct(patterns, whole, config, quiet=True)

    def in_the_second_pass(self, counts, passes):
        if passes > 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, counts, passes)

    step = EndToEnd.step
    with monkeypatch.context() as patch:
        patch.setattr(EndToEnd, "step", in_the_second_pass)
        with pytest.raises(Stopped, match="xrai resume"):
            reconstruct(patterns, stopped, config, quiet=True)
    assert checkpoint.load(stopped).networks[0]["passes"] == 1
    resume(stopped, quiet=True)
    for name in ("poses.h5", "intensity.h5"):
        with h5py.File(whole / name) as one, h5py.File(stopped / name) as other:
            for key in one:
                np.testing.assert_array_equal(one[key], other[key], err_msg=f"{name}, {key}")


def test_unknown_modes_are_refused(quick_config):
    with pytest.raises(ConfigError, match="expected one of hybrid, amortised, paper"):
        dataclasses.replace(quick_config, mode="published")
