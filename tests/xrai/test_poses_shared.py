"""Poses found by several processes: those of one, in one file that the first writes."""

import json

import numpy as np
import pytest

from tests.together import together
from xrai.infer import find_poses
from xraisim.files.poses import read_poses


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("encoder_only", [False, True])
def test_processes_find_what_one_finds(brief_run, patterns, tmp_path, encoder_only, count):
    """Of 3 blocks; one of four processes has none."""
    whole = tmp_path / "whole.h5"
    expected = find_poses(brief_run, patterns, whole, encoder_only=encoder_only)

    def one(processes):
        out = tmp_path / f"{processes.rank}.h5"
        return out, find_poses(
            brief_run, patterns, out, encoder_only=encoder_only, processes=processes
        )

    done = together(count, one)
    assert [out.exists() for out, _ in done] == [True] + [False] * (count - 1)
    for _, found in done:
        assert found | {"path": str(whole)} == expected
    columns = read_poses(tmp_path / "0.h5")
    assert encoder_only or columns["loglik"].dtype == np.float64
    for name, values in read_poses(whole).items():
        np.testing.assert_array_equal(columns[name], values, err_msg=name)


@pytest.mark.long
def test_the_command_under_torchrun(torchrun, brief_run, patterns, tmp_path):
    command = ("poses", brief_run, patterns, "--out", tmp_path / "two.h5", "--json")
    done = torchrun(2, "-c", "from xrai.cli import main; main()", *command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["patterns"] == 900  # printed once
    find_poses(brief_run, patterns, tmp_path / "one.h5")
    one, two = (read_poses(tmp_path / f"{name}.h5") for name in ("one", "two"))
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-4, atol=1e-4, err_msg=name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.h5", "two.h5"]
