"""The matrix of runs among processes: each run once, the patterns of a task once."""

import dataclasses
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import cli, pipeline, record, worker
from benchmarks.shares import Share
from benchmarks.task import Task, load_task
from xraisim.core.errors import UserError
from xraisim.files.lock import in_turn, new_directory, only_writer

RUN = ("run", "--task", "quick", "--task", "smoke", "--method", "floor", "--method", "oracle")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[worker.Job]:
    """The jobs that are run in an empty directory; nothing is reconstructed."""
    monkeypatch.chdir(tmp_path)
    jobs: list[worker.Job] = []

    def run(job: worker.Job) -> record.Record | worker.Failure:
        jobs.append(job)
        if (job.task.name, job.method, job.seed) == ("smoke", "floor", 1):
            return worker.Failure(message="stuck")
        one = worker.failed_record(job, "", 1.0)
        record.write(job.directory / record.RECORD_FILE, one)
        return one

    monkeypatch.setattr(pipeline, "in_child", run)
    monkeypatch.setattr(worker, "simulate", _simulated)
    return jobs


def _simulated(task: Task, directory: Path) -> worker.Dataset:
    with (directory / "times").open("a") as file:
        file.write("made\n")
    return worker.Dataset(
        patterns=directory / "p.h5", count=8, photons_per_pattern=9.0, seconds=0.1
    )


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run ``xrai-bench``, as a process of several where ``rank`` is given."""

    def run(*arguments: str, rank: int | None = None, count: int = 2) -> int:
        with monkeypatch.context() as patch:
            if rank is not None:
                patch.setenv("RANK", str(rank))
                patch.setenv("WORLD_SIZE", str(count))
            patch.setattr("sys.argv", ["xrai-bench", *arguments])
            with pytest.raises(SystemExit) as stop:
                cli.main()
        return int(stop.value.code or 0)

    return run


def test_two_processes_make_the_runs_that_one_makes(
    made: list[worker.Job], call: Callable[..., int], capsys: pytest.CaptureFixture
) -> None:
    shares = []
    for rank in (0, 1):
        begun = len(made)
        assert call(*RUN, "--seeds", "3", "--json", rank=rank) == 0
        out, err = capsys.readouterr()
        shares.append([(job.task.name, job.method, job.seed) for job in made[begun:]])
        assert len(json.loads(out)) == len(shares[-1]) == 6
        last = " ".join(err.splitlines()[-1].split())
        assert f"process {rank + 1} of 2" in last
        assert last.endswith("when all have: xrai-bench report runs/bench")
    whole = [(t, m, s) for t in ("quick", "smoke") for m in ("floor", "oracle") for s in range(3)]
    assert sorted(shares[0] + shares[1]) == sorted(whole)
    for share in shares:
        assert {method for _, method, _ in share} == {"floor", "oracle"}
    work = Path("runs/bench")
    assert [path.read_text() for path in work.rglob("times")] == ["made\n"] * 2, "once per task"
    assert not [*work.glob("*.html"), *work.rglob("*.lock")]
    # One process alone has nothing to do but the run that failed, and says so by its exit code.
    assert call(*RUN, "--seeds", "3", "--json") == 1
    assert (made[-1].task.name, made[-1].method, made[-1].seed) == ("smoke", "floor", 1)
    assert len(made) == 13
    assert (work / "report.html").exists()


def test_what_a_process_starts_is_alone(
    made: list[worker.Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    for name, value in (("JOB_ID", "1"), ("PROCID", "2"), ("LOCALID", "0")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURM_STEP_NODELIST", "one")
    assert Share.taken() == Share(number=2, count=3)
    assert Share.taken().is_whole


@pytest.mark.parametrize(("methods", "seeds", "count"), [(3, 2, 3), (4, 1, 2), (1, 5, 8)])
def test_every_process_has_as_many_runs_of_every_method(
    methods: int, seeds: int, count: int
) -> None:
    runs = [(m, t, s) for t in range(6) for s in range(seeds) for m in range(methods)]
    shares = [Share(number=k, count=count).of(runs, lambda one: one[:2]) for k in range(count)]
    assert sorted(run for share in shares for run in share) == sorted(runs)
    for share in shares:
        assert share == [run for run in runs if run in share], "in order: task by task"
    for method in range(methods):
        each = [sum(m == method for m, _, _ in share) for share in shares]
        assert max(each) - min(each) <= 1


def test_fresh_data_would_be_made_by_each(
    made: list[worker.Job], call: Callable[..., int], capsys: pytest.CaptureFixture
) -> None:
    assert call(*RUN, "--fresh", rank=0) == 2
    assert "would have each of them make the patterns anew" in capsys.readouterr().err
    assert not made


def test_one_makes_the_patterns_and_the_others_wait(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def simulate(task: Task, directory: Path) -> worker.Dataset:
        began.set()
        assert go_on.wait(10)
        return _simulated(task, directory)

    monkeypatch.setattr(worker, "simulate", simulate)
    monkeypatch.setattr(pipeline, "say", lambda said, **rest: go_on.set())  # "… waiting for it"
    task = dataclasses.replace(load_task("smoke"), photons_sha256="")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pipeline.dataset, task, tmp_path)
        assert began.wait(10)
        second = pool.submit(pipeline.dataset, task, tmp_path)
        assert first.result(10) == second.result(10)
    assert [path.read_text() for path in tmp_path.rglob("times")] == ["made\n"]
    assert not list(tmp_path.rglob("*.lock"))


def test_processes_share_a_directory_that_others_may_not_write(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with new_directory(out, shared=True):
        with new_directory(out, shared=True), pytest.raises(UserError, match="is writing"):
            only_writer(out).__enter__()
        with pytest.raises(UserError, match="is writing"):
            only_writer(out).__enter__()
        (out / "result").touch()
    with only_writer(out), pytest.raises(UserError, match="is writing"):
        only_writer(out, shared=True).__enter__()
    with in_turn(out / "result", pytest.fail):
        assert (out / "result.lock").exists()
    assert [path.name for path in out.iterdir()] == ["result"]
