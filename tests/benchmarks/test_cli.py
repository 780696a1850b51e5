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

from benchmarks import child as child_process
from benchmarks import cli, photons, pipeline, record, worker
from benchmarks.photons import PhotonCount
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
        (
            ["run", "--task", "nothing-like-it"],
            "unknown task 'nothing-like-it'; known: apoferritin",
        ),
        (["run", "--task", "missing.toml"], "missing.toml: No such file"),
        (["run", "--method", "orcale"], "unknown method 'orcale'; did you mean oracle?"),
        (["run", "--seeds", "0"], "--seeds"),
        (["run", "--seeds", "2", "--all-seeds"], "give one of --all-seeds, --seeds and --seed"),
        (["run", "--budget", "0"], "--budget"),
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
    assert 'data-method="xrai"' in Path("records/report.html").read_text()


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
    outcome = child_process.receive(receiver, child)
    assert isinstance(outcome, pipeline.Failure)
    assert message in outcome.message
    receiver.close()


def _job(
    directory: Path, config_hash: str, data_seed: int = 0, version: int = 1, photons: str = ""
) -> Any:
    """What is asked of a job before it is run."""
    data = SimpleNamespace(simulate=SimpleNamespace(seed=data_seed), version=version)
    made = SimpleNamespace(photons_sha256=photons)
    return SimpleNamespace(directory=directory, config_hash=config_hash, task=data, dataset=made)


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
    record.write(tmp_path / "record.json", make_record(photons_sha256="aa"))
    for version, hashed, used in [(1, "aa", True), (1, "bb", False), (2, "aa", False)]:
        job = _job(tmp_path, "abc", version=version, photons=hashed)
        assert (pipeline._finished(job, fresh=False) is not None) is used


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


def test_a_record_says_whether_the_photons_are_those_of_the_task(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    make_record: MakeRecord,
    tmp_path: Path,
) -> None:
    hashed, jobs = [], []

    def simulate(task: Task, directory: Path) -> worker.Dataset:
        path = directory / "p.h5"
        return worker.Dataset(
            patterns=path, count=8, photons_per_pattern=9.0, seconds=0.1,
            photons_sha256=photons.count_photons(path).photons_sha256,
        )  # fmt: skip

    counted = PhotonCount(photons_per_pattern=9.0, photons_beyond=0.0, photons_sha256="a" * 64)
    monkeypatch.setattr(photons, "count_photons", lambda path: hashed.append(path) or counted)
    monkeypatch.setattr(worker, "simulate", simulate)
    monkeypatch.setattr(pipeline, "_run", lambda job: jobs.append(job) or make_record())
    stated = dataclasses.replace(load_task("smoke"), photons_sha256="a" * 64)
    other = dataclasses.replace(stated, photons_sha256="b" * 64)
    for task, agrees in [(stated, True), (other, False)]:
        pipeline.run([task], ["oracle"], [0, 1], tmp_path)
        found = worker.failed_record(jobs[-1], "stuck", 1.0)
        assert (found.photons_sha256, found.photons_agree) == ("a" * 64, agrees)
        said = capsys.readouterr().err
        assert said.count("are not those that its version 1 states") == (not agrees)
        assert ("a" * 64 in said and "b" * 64 in said) is not agrees
    assert len(hashed) == 1, "once per data set"

    note = tmp_path / "smoke" / "data-0" / "dataset.json"  # as of data made before
    kept = json.loads(note.read_text())
    note.write_text(json.dumps({k: v for k, v in kept.items() if "sha256" not in k}))
    pipeline.run([dataclasses.replace(other, photons_sha256="")], ["oracle"], [0], tmp_path)
    assert len(hashed) == 2
    assert json.loads(note.read_text()) == kept
    assert worker.failed_record(jobs[-1], "stuck", 1.0).photons_agree is None
    newer = dataclasses.replace(stated, version=2)
    pipeline.run([newer], ["oracle"], [0], tmp_path)
    assert len(hashed) == 3, "another version has data of its own"
    assert worker.failed_record(jobs[-1], "stuck", 1.0).task_version == 2


def test_a_full_disk_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Whatever the run made of it on the way up, the system's own error is what counts.
    wrapped = UserError("no space left on the disk")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert worker._unwritable(wrapped)
    assert not worker._unwritable(UserError("a method's own trouble"))

    failure = worker.Failure(message="no space left on the disk", unwritable=True)
    monkeypatch.setattr(pipeline, "in_child", lambda job: failure)
    job = type("J", (), {"directory": tmp_path / "run"})
    with pytest.raises(UserError, match=r"cannot write in .*run: no space left"):
        pipeline._run(job)  # type: ignore[arg-type]
