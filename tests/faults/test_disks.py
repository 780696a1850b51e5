"""Full disks, forbidden directories, and two writers: one message, and nothing is lost."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from xrai.state import checkpoint

from .conftest import same_data

MIB = 1024  # in KiB


def grow(disk: Path, kib: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kib}k", str(disk)], check=True)


def refused(running, *said: str) -> None:
    """Assert that a command ends with one message that says all of this."""
    assert running.end() == 2, running.said
    assert "Traceback" not in running.said, running.said
    assert running.said.count("error:") == 1, running.said
    for words in said:
        assert re.search(words, running.said.replace("\n", " ")), (words, running.said)


def test_make_on_a_full_disk(small_disk, settings, made, begin, finish):
    disk = small_disk(24 * MIB)  # 16 to spare for HDF5, and 8 for the first of three blocks
    make = "xrai-sim", "make", "--config", settings, "--out", disk / "patterns.h5"
    refused(
        begin(*make), "no space left on the disk", r"holds [\d,]+ patterns; go on with .*--resume"
    )
    grow(disk, 64 * MIB)
    finish(*make, "--resume")
    assert same_data(disk / "patterns.h5", made)


def test_train_on_a_full_disk(small_disk, few, train_settings, trained, begin, finish):
    disk = small_disk(200)
    run = disk / "run"
    train = "xrai", "train", few, "--out", run, "--config", train_settings
    refused(begin(*train), "no space left on the disk", "kept; continue with `xrai resume")
    checkpoint.load(run)
    grow(disk, 64 * MIB)
    finish("xrai", "resume", run)
    for name in ("poses.h5", "intensity.h5"):
        assert same_data(run / name, trained[0] / name)


def test_results_on_a_full_disk(small_disk, few, train_settings, trained, begin, finish):
    """Room for checkpoints, not for results."""
    disk = small_disk(4 * MIB)
    run = disk / "run"
    train = "xrai", "train", few, "--out", run, "--config", train_settings
    refused(begin(*train), "no space left on the disk", "kept; continue with `xrai resume")
    grow(disk, 64 * MIB)
    finish("xrai", "resume", run)
    assert same_data(run / "poses.h5", trained[0] / "poses.h5")


def test_emc_on_a_full_disk(small_disk, few, emc_settings, emc_done, begin, finish):
    disk = small_disk(150)
    emc = "xrai-baseline", "emc", few, "--out", disk / "run", "--config", emc_settings
    refused(begin(*emc), "no space left on the disk", "(go on with .*--resume|begin again)")
    grow(disk, 64 * MIB)
    resume = ["--resume"] if (disk / "run/checkpoint.pt").exists() else []
    finish(*emc, *resume)
    assert same_data(disk / "run/poses.h5", emc_done[0] / "poses.h5")


@pytest.mark.parametrize("name", ["a.cxi", "a.emc", "a.npz"])
def test_convert_on_a_full_disk(small_disk, made, begin, name):
    disk = small_disk(60)
    running = begin("xrai-sim", "convert", made, disk / name)
    refused(running, "no space left on the disk", "nothing is kept .* convert anew")
    assert not list(disk.iterdir())


def test_files_no_larger_than_allowed(made, begin, tmp_path):
    """A limit of the system's is like a full disk."""
    running = begin("xrai-sim", "convert", made, tmp_path / "a.emc", limit_bytes=30_000)
    refused(running, "no space left on the disk", "convert anew")


@pytest.mark.parametrize("command", ["make", "convert", "train", "emc", "classify", "poses"])
def test_read_only_directories(command, read_only, settings, made, few, trained, begin, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    read_only(out)
    arguments = {
        "make": ["xrai-sim", "make", "--config", settings, "--out", out / "a.h5"],
        "convert": ["xrai-sim", "convert", made, out / "a.cxi"],
        "train": ["xrai", "train", few, "--out", out / "run"],
        "emc": ["xrai-baseline", "emc", few, "--out", out / "run"],
        "classify": ["xrai-baseline", "classify", few, "--out", out],
        "poses": ["xrai", "poses", trained[0], few, "--out", out / "poses.h5"],
    }
    refused(begin(*arguments[command]), r"cannot write .*out.*Read-only file system")


def locked(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("command", ["make", "train", "emc"])
def test_two_writers(
    command, settings, few, train_settings, emc_settings, made, trained, emc_done, begin,
    finish, tmp_path,
):  # fmt: skip
    """The second is refused, the first does not notice; a killed one is not in the way."""
    out = tmp_path / "run"
    first, again, lock, result, expected = {
        "make": (
            ["xrai-sim", "make", "--config", settings, "--out", out / "a.h5"],
            ["xrai-sim", "make", "--config", settings, "--out", out / "a.h5", "--resume"],
            out / "a.h5.lock", out / "a.h5", made,
        ),
        "train": (
            ["xrai", "train", few, "--out", out, "--config", train_settings],
            ["xrai", "resume", out],
            out / "checkpoint.pt", out / "poses.h5", trained[0] / "poses.h5",
        ),
        "emc": (
            ["xrai-baseline", "emc", few, "--out", out, "--config", emc_settings],
            ["xrai-baseline", "emc", few, "--out", out, "--config", emc_settings],
            out / ".lock", out / "poses.h5", emc_done[0] / "poses.h5",
        ),
    }[command]  # fmt: skip
    running = begin(*first)
    locked(lock)
    os.kill(running.pid, signal.SIGSTOP)  # else it may be done before the second one looks
    refused(begin(*again), r"process \d+ on .* is writing .*; wait until it has ended")
    os.kill(running.pid, signal.SIGCONT)
    assert running.end() == 0, running.said
    assert same_data(result, expected)
    assert not list(out.glob("*.lock"))
    other = [str(one).replace("run", "other") for one in first]
    killed = begin(*other)
    locked(Path(str(lock).replace("run", "other")))
    killed.process.kill()
    killed.end()
    finish(*(str(one).replace("run", "other") for one in again))
