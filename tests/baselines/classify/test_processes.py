"""A classification by several processes: that of one, in one set of files."""

import dataclasses
import json

import h5py
import numpy as np
import pytest

from baselines.classify import classify
from tests.together import together
from xraisim.core import config as toml


def classes_in(directory):
    with h5py.File(directory / "classes.h5") as file:
        return {name: file[name][()] for name in ("class_id", "probability", "angle", "fluence")}


def assert_same(found, expected):
    """All but rounding, which turns and divides two or three patterns that are undecided.

    Blocks of another size in one process were measured to do as much.
    """
    assert found["class_id"].tolist() == expected["class_id"].tolist()
    np.testing.assert_allclose(found["fluence"], expected["fluence"], atol=1e-3)
    off = np.abs(found["probability"] - expected["probability"]).max(1)
    assert (off < 1e-3).mean() > 0.99
    turned = np.exp(1j * found["angle"]) - np.exp(1j * expected["angle"])
    assert (np.abs(turned) < 0.05).mean() > 0.99


def test_two_processes_end_as_one_does(mixture, settings, classified, tmp_path):
    """Blanks, a background and thus groups by fluence: all that is exchanged."""
    directory = tmp_path / "two"
    small = dataclasses.replace(settings, block_patterns=64)
    leader, other = together(
        2, lambda processes: classify(mixture, directory, small, processes=processes)
    )
    assert leader.figures == other.figures
    assert {p.name for p in directory.iterdir()} == {p.name for p in classified[0].iterdir()}
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(1, len(lines) + 1))
    assert len(lines) == classified[1].figures["iterations"]
    assert_same(classes_in(directory), classes_in(classified[0]))


@pytest.mark.long
def test_the_command_under_torchrun_goes_on(torchrun, mixture, settings, classified, tmp_path):
    """Two processes go on from the checkpoint of one that was interrupted."""
    left = [5]

    def interrupt(units=1, remark=""):
        left[0] -= units
        if left[0] <= 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify(mixture, tmp_path / "two", settings, progress=interrupt)
    (tmp_path / "settings.toml").write_text(toml.dumps(settings))
    command = ("classify", mixture, "--out", tmp_path / "two")
    options = ("--config", tmp_path / "settings.toml", "--resume", "--json")
    done = torchrun(2, "-c", "from baselines.cli import main; main()", *command, *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["patterns"] == 400  # printed once
    assert_same(classes_in(tmp_path / "two"), classes_in(classified[0]))
