"""Columns of poses, in their file."""

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.files.poses import COLUMNS, VERSION, read_poses, write_poses
from xraisim.files.texts import attribute, describe


def _columns(count=5):
    turns = np.random.default_rng(0).normal(size=(count, 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    turns[1] = np.nan
    return {"orientations": turns, "fluence": np.ones(count), "loglik": -np.ones(count)}


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "poses.h5"
    assert read_poses(path) == {}
    write_poses(path, _columns(), "patterns.h5")
    found = read_poses(path)
    for name, values in _columns().items():
        np.testing.assert_array_equal(found[name], values)
    with h5py.File(path) as file:
        assert int(attribute(file, "version")) == VERSION
        assert attribute(file, "patterns") == "patterns.h5"
        assert attribute(file["loglik"], "units") == COLUMNS["loglik"].unit == "nat"


def test_poses_need_orientations(tmp_path):
    with pytest.raises(FormatError, match="found fluence; poses need orientations"):
        write_poses(tmp_path / "poses.h5", {"fluence": np.ones(3)})


def test_the_likelihood_of_version_1_has_todays_name(tmp_path):
    with h5py.File(tmp_path / "poses.h5", "w") as file:
        describe(file, {"format": "x-rai poses 1"})
        file["likelihood"] = [-1.0, -2.0]
    assert read_poses(tmp_path / "poses.h5")["loglik"].tolist() == [-1.0, -2.0]


def test_a_version_to_come_is_refused(tmp_path):
    path = tmp_path / "poses.h5"
    write_poses(path, _columns())
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 3
    with pytest.raises(FormatError, match="is of version 3; expected 'x-rai poses', version 2"):
        read_poses(path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fluence": np.ones(4)}, "different lengths"),
        ({"fluence": np.ones((5, 2))}, r"fluence of shape \(5, 2\); expected \(5,\)"),
        ({"orientations": np.ones((5, 3))}, r"expected \(5, 4\)"),
        ({"orientations": np.ones((5, 4))}, "5 of the orientations are no unit quaternions"),
        ({"orientations": np.full((5, 4), np.inf)}, "5 of the orientations are no unit"),
    ],
)
def test_columns_that_cannot_be_are_neither_written_nor_read(tmp_path, wrong, message):
    columns = _columns() | wrong
    with pytest.raises(FormatError, match=message):
        write_poses(tmp_path / "new.h5", columns)
    assert not list(tmp_path.iterdir())
    with h5py.File(tmp_path / "poses.h5", "w") as file:
        for name, values in columns.items():
            file[name] = values
    with pytest.raises(FormatError, match=message):
        read_poses(tmp_path / "poses.h5")
