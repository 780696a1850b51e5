"""``xrai-bench`` through its entry point: bad input, records in and out, exit codes."""

import dataclasses
import errno
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import cli, pipeline, record, worker
from benchmarks.record import Record
from benchmarks.task import Task, load_task
from xraisim.core.errors import UserError

MakeRecord = Callable[..., Record]
Invoke = Callable[..., int]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Run ``xrai-bench`` in an empty directory and return its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr("sys.argv", ["xrai-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0)

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--task", "quik"], "unknown task 'quik'; did you mean quick?"),
        (["run", "--task", "nothing-like-it"], "unknown task 'nothing-like-it'; known: dim-20k"),
        (["run", "--task", "missing.toml"], "missing.toml: No such file"),
        (["run", "--method", "orcale"], "unknown method 'orcale'; did you mean oracle?"),
        (["run", "--seeds", "0"], "--seeds"),
        (["table", "--records", "."], "holds no records; make some with: xrai-bench run"),
        (["report", "missing"], "missing: no such file or directory"),
        (["check", "missing"], "missing: no such file or directory"),
    ],
)
def test_bad_input_is_one_message_and_two(
    invoke: Invoke, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    assert invoke(*arguments) == 2
    shown = capsys.readouterr().err
    assert message in " ".join(shown.split())
    assert "Traceback" not in shown
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary = 'x'\n[simulat]\n", "unknown configuration key simulat; did you mean simulate?"),
        ("summary = 'x'\n[phase]\nstart = 3\n", "key phase.start; did you mean phase.starts?"),
        ("summary = 'x'\n[simulate]\nchain = 'B'\n", "key chain; did you mean chains?"),
        ("summary = 'x'\n[simulate]\ninstrument = 'xrai'\n", "unknown instrument 'xrai'"),
        ("summary = \n", "is not a readable TOML file"),
        ("[simulate]\n", "summary"),
    ],
)
def test_bad_task_files_are_named(
    invoke: Invoke, capsys: pytest.CaptureFixture, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "mine.toml").write_text(text)
    assert invoke("run", "--task", "mine.toml") == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert "mine.toml" in shown
    assert message in shown


def test_a_work_directory_that_cannot_be_written(
    invoke: Invoke, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert invoke("run", "--task", "smoke", "--out", "file/bench") == 2
    assert "Not a directory" in capsys.readouterr().err


def test_damaged_record_is_named(
    invoke: Invoke, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text("{")
    assert invoke("table", "--records", tmp_path) == 2
    assert "a.json is not a readable record" in capsys.readouterr().err


def test_table_and_leaderboard(
    invoke: Invoke, capsys: pytest.CaptureFixture, make_record: MakeRecord, tmp_path: Path
) -> None:
    made = [make_record(seed=n, fsc=value) for n, value in enumerate([25.0, 101.4, None])]
    pipeline.keep([*made, make_record(method="oracle", fsc=21.0)], tmp_path / "records")
    assert invoke("table", "--records", "records") == 0
    shown = capsys.readouterr().out
    assert "(25.0–none)" in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert invoke("table", "--records", "records", "--json") == 0
    assert {one["method"] for one in json.loads(capsys.readouterr().out)} == {"oracle", "xrai"}
    assert invoke("table", "--records", "records", "--write", "LEADERBOARD.md") == 0
    assert "| oracle | 1 |" in Path("LEADERBOARD.md").read_text()


def test_report_from_records(invoke: Invoke, make_record: MakeRecord, tmp_path: Path) -> None:
    pipeline.keep([make_record()], tmp_path / "records")
    assert invoke("report", "records") == 0
    assert "<td>xrai</td>" in Path("records/report.html").read_text()


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        (os._exit, (3,), "its process ended with exit code 3"),
        (signal.raise_signal, (signal.SIGKILL,), "killed by the system"),
        (signal.raise_signal, (signal.SIGTERM,), "its process ended with signal 15"),
    ],
)
def test_a_child_that_dies_is_a_failure(target: Callable, arguments: tuple, message: str) -> None:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=target, args=arguments)
    child.start()
    sender.close()
    outcome = pipeline._receive(receiver, child)
    assert isinstance(outcome, pipeline.Failure)
    assert message in outcome.message
    receiver.close()


def _job(directory: Path, config_hash: str, data_seed: int = 0) -> Any:
    """What is asked of a job before it is run."""
    data = SimpleNamespace(simulate=SimpleNamespace(seed=data_seed))
    return SimpleNamespace(directory=directory, config_hash=config_hash, task=data)


def test_unreadable_earlier_results_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{")
    job = _job(tmp_path, "x")
    assert pipeline._finished(job, fresh=False) is None


def test_earlier_results_of_other_settings_are_not_used(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    record.write(tmp_path / "record.json", make_record(config_hash="abc"))
    for config_hash, fresh, used in [
        ("abc", False, True),
        ("abc", True, False),
        ("other", False, False),
    ]:
        job = _job(tmp_path, config_hash)
        assert (pipeline._finished(job, fresh) is not None) is used
    record.write(tmp_path / "record.json", make_record(config_hash="abc", error="stuck"))
    job = _job(tmp_path, "abc")
    assert pipeline._finished(job, fresh=False) is None


def test_earlier_results_of_other_data_are_not_used(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    # A run with seed 1 once had patterns of its own; its settings are those of a run of today.
    record.write(tmp_path / "record.json", make_record(seed=1, data_seed=1))
    assert pipeline._finished(_job(tmp_path, "abc", data_seed=1), fresh=False) is not None
    assert pipeline._finished(_job(tmp_path, "abc", data_seed=0), fresh=False) is None


def test_seeds_vary_the_method_and_not_the_patterns(
    monkeypatch: pytest.MonkeyPatch, make_record: MakeRecord, tmp_path: Path
) -> None:
    simulated, jobs = [], []

    def simulate(task: Task, directory: Path) -> worker.Dataset:
        simulated.append(task.simulate.seed)
        return worker.Dataset(
            patterns=directory / "p.h5", count=800, photons_per_pattern=9.0, seconds=0.1
        )

    def run(job: worker.Job) -> Record:
        jobs.append(job)
        return make_record()

    monkeypatch.setattr(worker, "simulate", simulate)
    monkeypatch.setattr(pipeline, "_run", run)
    task = load_task("smoke")
    other = dataclasses.replace(task, simulate=dataclasses.replace(task.simulate, seed=7))
    pipeline.run([task], ["oracle"], [0, 1, 2], tmp_path)
    pipeline.run([other], ["oracle"], [0], tmp_path)
    assert simulated == [0, 7]
    assert [job.seed for job in jobs] == [0, 1, 2, 0]
    assert len({job.dataset.patterns for job in jobs[:3]}) == 1
    assert worker.failed_record(jobs[3], "stuck", 1.0).data_seed == 7


def test_a_full_disk_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Whatever the run made of it on the way up, the system's own error is what counts.
    wrapped = UserError("no space left on the disk")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert worker._unwritable(wrapped)
    assert not worker._unwritable(UserError("a method's own trouble"))

    failure = worker.Failure(message="no space left on the disk", unwritable=True)
    monkeypatch.setattr(pipeline, "_in_child", lambda job: failure)
    job = type("J", (), {"directory": tmp_path / "run"})
    with pytest.raises(UserError, match=r"cannot write in .*run: no space left"):
        pipeline._run(job)  # type: ignore[arg-type]
