"""One writer at a time, and none that is dead."""

import subprocess
import sys

import pytest

from xraisim.core.errors import UserError
from xraisim.files.lock import new_directory, only_writer

_HOLD = """
import sys, time
from pathlib import Path
from xraisim.files.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_second_writer_is_refused_until_the_first_has_gone(kind, tmp_path):
    path = tmp_path / "out"
    if kind == "directory":
        path.mkdir()
    with only_writer(path):
        with pytest.raises(UserError, match=r"process \d+ on .* is writing .*out; wait"):
            only_writer(path).__enter__()
        with only_writer(tmp_path / "other"), only_writer(path, wanted=False):
            pass
    with only_writer(path):
        pass
    assert [one.name for one in tmp_path.rglob("*")] == ["out"] * (kind == "directory")


def test_a_killed_process_is_not_in_the_way(repository, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path / "out")],
        stdout=subprocess.PIPE, env={"PYTHONPATH": str(repository)},
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == b"holds\n"
        with pytest.raises(UserError, match=f"process {process.pid} on"):
            only_writer(tmp_path / "out").__enter__()
        process.kill()
    assert (tmp_path / "out.lock").exists()
    with only_writer(tmp_path / "out"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_new_directory_is_made_and_held(tmp_path):
    path = tmp_path / "a/b"
    with new_directory(path):
        with pytest.raises(UserError, match="is writing"):
            only_writer(path).__enter__()
        (path / "result").touch()
    assert [one.name for one in path.iterdir()] == ["result"]


def test_a_new_directory_that_stays_empty_is_removed_and_an_old_one_is_not(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(KeyError), new_directory(path):
        raise KeyError
    assert not path.exists()
    path.mkdir()
    with new_directory(path):
        pass
    assert path.exists()
