"""Methods that are made worse on purpose fail the check against the committed bands."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from benchmarks import pipeline, regression_band, worker
from benchmarks.commands.check import WATCHED
from benchmarks.merge import merge
from benchmarks.methods import METHODS
from benchmarks.methods.oracle import oracle
from benchmarks.record import Record
from benchmarks.regression_check import WORSE, check
from benchmarks.task import Task, load_task
from xraisim.core import so3
from xraisim.core.random import generator
from xraisim.files.truth import read_truth, truth_path

pytestmark = pytest.mark.regression
TASK = "watch-apoferritin"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watched")


def run(task: Task, method: str, work: Path, name: str) -> Record:
    """Run a method in this process on the task's data, with seed 0."""
    dataset = pipeline._dataset(task, work / "data", fresh=False)
    directory = work / name
    directory.mkdir()
    job = worker.Job(
        task=task, method=method, seed=0, dataset=dataset, directory=directory, config_hash=""
    )
    return worker.execute(job)


def worse(record: Record) -> list[str]:
    found = check([record], regression_band.read_all(WATCHED))
    return [one.text for one in found if one.verdict == WORSE]


def jittered(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Merge at the true orientations, each turned by two degrees about a random axis or so."""
    truth = torch.from_numpy(read_truth(truth_path(patterns)).orientations)
    poses = so3.perturb(truth, 1, 2 / 57.3, generator(seed, "jitter"))[:, 0]
    merge(patterns, directory, task.merge, poses, task.merge.symmetry, "jittered")


def test_the_method_as_it_is_passes(work: Path) -> None:
    assert worse(run(load_task(TASK), "oracle", work, "as it is")) == []


def test_poses_off_by_two_degrees_are_found(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = dataclasses.replace(METHODS["oracle"], reconstruct=jittered)
    monkeypatch.setitem(METHODS, "oracle", method)
    found = worse(run(load_task(TASK), "oracle", work, "jittered"))
    assert any("pose_error" in text for text in found)
    assert any("icc_truth" in text for text in found)


def test_a_tenth_of_the_iterations_is_found(work: Path) -> None:
    task = load_task(TASK)
    levels = tuple(
        dataclasses.replace(one, iterations=max(1, one.iterations // 10), ramp=1)
        for one in task.emc.levels
    )
    few = dataclasses.replace(task, emc=dataclasses.replace(task.emc, levels=levels, restarts=1))
    assert worse(run(few, "emc", work, "few iterations"))


def test_a_wrong_gain_is_found(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pixel counts a number of photons of its own for each: from a fifth to five."""

    def miscalibrated(task: Task, patterns: Path, directory: Path, seed: int) -> None:
        wrong = directory / "patterns.h5"
        wrong.write_bytes(patterns.read_bytes())
        truth_path(wrong).write_bytes(truth_path(patterns).read_bytes())
        with h5py.File(wrong, "r+") as file:
            gain = file["detector/gain"]
            spread = torch.randn(gain.shape, generator=generator(seed, "gain")).numpy()
            gain[...] = gain[...] * np.exp(1.6 * spread)
        oracle(wrong, directory, task.merge)

    method = dataclasses.replace(METHODS["oracle"], reconstruct=miscalibrated)
    monkeypatch.setitem(METHODS, "oracle", method)
    assert worse(run(load_task(TASK), "oracle", work, "wrong gain"))
