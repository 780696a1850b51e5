"""The rules of the benchmark: what counts, what is not run, what a budget ends."""

import dataclasses
import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import (
    budget,
    child,
    cli,
    dataframe,
    leaderboard,
    lifecycle,
    pipeline,
    record,
    report,
    table_formats,
    worker,
)
from benchmarks.budget import Budget
from benchmarks.limits import seeds_of, why_not_run
from benchmarks.matrix import Matrix
from benchmarks.record import Record
from benchmarks.task import Task, load_task
from benchmarks.worker import Dataset
from tests.benchmarks import slow_child
from xraisim import stopping
from xraisim.core import config
from xraisim.core.errors import ConfigError
from xraisim.core.machine import Hardware

MakeRecord = Callable[..., Record]
CPU = Hardware(cpu="c", cores=2, memory_gib=8.0)


def _quick(**changes: Any) -> Task:
    return dataclasses.replace(load_task("quick"), **changes)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the embedded task `quick` be another one."""

    def be(**changes: Any) -> None:
        task = _quick(**changes)
        found = {"quick": task}
        monkeypatch.setattr(lifecycle, "_embedded", found.get)

    return be


def test_what_does_not_count_is_in_no_table_and_is_told(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    made = [
        make_record(fsc=25.0),
        make_record(fsc=11.0, date="2026-05-01T00:00:00+00:00", status="withdrawn"),
        make_record(method="emc", fsc=12.0, status="superseded", status_reason="by another"),
        make_record(method="new", fsc=13.0, status="proposed"),
    ]
    found = leaderboard.entries(made)
    rows = [leaderboard.row(entry, leaderboard.columns(found))[0] for entry in found]
    assert rows == ["new, proposed", "xrai"]
    # The newer one of its seed was withdrawn: the older one counts again.
    assert dataframe.over_seeds(dataframe.runs(made)).loc[
        ("quick", "xrai", "run", "open", "fsc_truth_0.5"), "median"
    ] == 25.0  # fmt: skip
    page = table_formats.FORMATS["markdown"](made).decode()
    assert "Left out: 1 superseded, 1 withdrawn (" in page
    assert "12.0" not in page
    assert "emc,run" in table_formats.FORMATS["csv"](made).decode().replace(",0,", ",")
    report.write(tmp_path / "page.html", [report.Shown(record=one) for one in made])
    assert "Left out: 1 superseded, 1 withdrawn" in (tmp_path / "page.html").read_text()
    report.write(tmp_path / "none.html", [report.Shown(record=made[1])])


def test_a_row_of_an_older_version_of_a_task_is_superseded(
    make_record: MakeRecord, quick: Callable[..., None]
) -> None:
    old, blind = make_record(), make_record(task="quick-blind")
    quick(version=2)
    assert lifecycle.standing(old) == (
        "superseded", "made with version 1 of the task, which is 2 now",
    )  # fmt: skip
    assert not lifecycle.counts(blind)
    assert lifecycle.counts(make_record(task_version=2))
    assert lifecycle.counts(make_record(task="of-my-own"))
    quick(status="withdrawn", status_reason="its truth is wrong")
    assert lifecycle.standing(old) == ("withdrawn", "its truth is wrong")
    quick(status="proposed")
    assert lifecycle.standing(old)[0] == "proposed"


def test_the_life_of_a_task() -> None:
    assert lifecycle.notice(_quick()) == ""
    found = lifecycle.notice(_quick(status="superseded", superseded_by="faint", status_reason="x"))
    assert found == "task quick is superseded: by faint, x; its rows are not shown"
    for wrong in ({"status": "superseded"}, {"superseded_by": "faint"}, {"status": "dead"}):
        with pytest.raises(ConfigError, match=r"superseded_by is|'dead'; expected one of"):
            _quick(**wrong)


def test_a_closed_row_is_not_mixed_with_open_ones(make_record: MakeRecord, tmp_path: Path) -> None:
    made = [make_record(fsc=20.0), make_record(fsc=30.0, division="closed", budget_s=60.0)]
    found = leaderboard.entries(made)
    assert [(one.label, len(one.records)) for one in found] == [("xrai", 1), ("xrai, closed", 1)]
    pipeline.keep(made, tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {
        "quick-xrai-0.json", "quick-xrai-0-closed.json",
    }  # fmt: skip
    assert record.read(tmp_path / "quick-xrai-0-closed.json").budget_s == 60.0


@pytest.mark.parametrize(
    ("stated", "limit", "gpu", "division"),
    [
        ({}, None, "", "open"), ({}, 60.0, "", "open"),
        ({"seconds": 60.0}, 60.0, "", "closed"), ({"seconds": 60.0}, 61.0, "", "open"),
        ({"seconds": 60.0}, None, "", "open"), ({"seconds": 60.0}, 30.0, "H200", "closed"),
        ({"seconds": 60.0, "device": "cpu"}, 60.0, "H200", "open"),
    ],
)  # fmt: skip
def test_what_is_closed(stated: dict, limit: float | None, gpu: str, division: str) -> None:
    machine = dataclasses.replace(CPU, gpu=gpu)
    assert Budget(**stated).division(limit, machine) == division


def test_the_budget_of_a_task_holds_unless_another_is_given(tmp_path: Path) -> None:
    task = _quick(budget=Budget(seconds=60.0))
    for given, expected in [(None, 60.0), (10.0, 10.0), (float("inf"), None)]:
        (one,) = pipeline.plan([task], ["floor"], [0], tmp_path, given)
        assert one.budget_s == expected
    hashes = {
        pipeline.plan([task], ["floor"], [0], tmp_path, given)[0].config_hash
        for given in (None, 10.0, float("inf"))
    }
    assert len(hashes) == 3, "another budget is another run"


@pytest.mark.parametrize(
    ("method", "outcome"),
    [
        ("slow", worker.Failure(message="ended by the budget of 0.5 s")),
        ("quick", ("in time",)),
        ("leaves", ("scored", 0.5)),
    ],
)
def test_a_budget_ends_a_reconstruction(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, outcome: Any
) -> None:
    monkeypatch.setattr(worker, "child_main", slow_child.child_main)
    job: Any = slow_child.Job(method=method, directory=tmp_path, budget_s=0.5)
    assert child.in_child(job) == outcome


def test_a_run_that_its_budget_ended_says_so_and_is_not_made_again(
    make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task = _quick(budget=Budget(seconds=60.0))
    ended: list[worker.Job] = []
    monkeypatch.setattr(worker, "simulate", _simulated)
    monkeypatch.setattr(
        pipeline, "in_child",
        lambda job: ended.append(job) or worker.Failure(message=budget.said(job.budget_s)),
    )  # fmt: skip
    for _ in range(2):
        (row,) = pipeline.run([task], ["floor"], [0], tmp_path)
        assert (row.error, row.division, row.budget_s) == (
            "ended by the budget of 60 s", "closed", 60.0,
        )  # fmt: skip
    assert len(ended) == 1
    (longer,) = pipeline.run([task], ["floor"], [0], tmp_path, budget_s=90.0)
    assert (len(ended), longer.division) == (2, "open")
    (entry,) = leaderboard.entries([row])
    assert leaderboard.row(entry, leaderboard.columns([entry]))[:2] == ["floor, closed", "failed"]


def _simulated(task: Task, directory: Path) -> Dataset:
    return Dataset(
        patterns=directory / "p.h5", count=8, photons_per_pattern=9.0, seconds=0.1,
        photons_sha256="a" * 64,
    )  # fmt: skip


def _sized(name: str, patterns: int) -> Task:
    task = load_task("quick")
    return dataclasses.replace(
        task, name=name, simulate=dataclasses.replace(task.simulate, patterns=patterns)
    )


def test_what_a_method_is_not_run_on() -> None:
    assert why_not_run(_sized("quick", 50_000), "emc") == ""
    assert why_not_run(_sized("quick", 500_000), "emc") == (
        "not run: emc is run on 50,000 patterns at most, this task has 500,000"
    )
    assert why_not_run(_sized("quick", 500_000), "xrai") == ""
    assert why_not_run(_sized("of-my-own", 500_000), "emc") == "", "who asks for it has it"
    assert why_not_run(load_task("published-500k@0.1"), "emc") == ""
    assert why_not_run(load_task("published-5m@0.1"), "emc").endswith("this task has 500,000")
    assert why_not_run(load_task("quick@0.5"), "dragonfly") == ""
    assert why_not_run(load_task("quick"), "dragonfly") == ""
    said = "not run: dragonfly is run on quick and smoke alone"
    assert why_not_run(load_task("full-20k"), "dragonfly") == said


def test_how_many_seeds() -> None:
    task = _quick(seeds=5)
    assert seeds_of(task, "xrai", None) == [0, 1, 2, 3, 4]
    assert seeds_of(task, "xrai", [7, 8]) == [7, 8]
    assert seeds_of(task, "dragonfly", [7, 8]) == [7]
    assert seeds_of(dataclasses.replace(task, name="mine"), "dragonfly", [7, 8]) == [7, 8]
    assert {load_task(name).seeds for name in ("quick", "full-20k", "full-50k")} == {5, 3, 1}


def test_a_method_that_does_not_fit_has_a_row_that_says_so(
    make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker, "simulate", lambda *_: pytest.fail("no pattern is needed"))
    rows = pipeline.run([_sized("quick", 500_000)], ["emc"], [0, 1], tmp_path / "work")
    assert [(row.seed, row.failed) for row in rows] == [(0, False)]
    (entry,) = leaderboard.entries(rows)
    assert leaderboard.row(entry, leaderboard.columns([entry]))[:2] == ["emc", "not run"]
    (line,) = leaderboard.failures([entry])
    assert (
        line == "quick, emc, not run: emc is run on 50,000 patterns at most, this task has 500,000"
    )
    pipeline.keep(rows, tmp_path / "kept")
    assert record.read(tmp_path / "kept/quick-emc-0.json").not_run
    # It does not take the place of a result.
    record.write(tmp_path / "kept/quick-emc-0.json", make_record(method="emc"))
    pipeline.keep(rows, tmp_path / "kept")
    assert record.read(tmp_path / "kept/quick-emc-0.json").error == ""


@pytest.fixture
def matrix(make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A work directory with one run done, one failed and one of other settings."""
    monkeypatch.chdir(tmp_path)
    planned = pipeline.plan([load_task("quick")], ["floor"], [0, 1, 2, 3, 4], Path("runs/bench"))
    for one, changes in zip(planned, [{}, {"error": "stuck"}, {"config_hash": "b"}], strict=False):
        told = {"method": "floor", "seed": one.seed, "config_hash": one.config_hash} | changes
        record.write(one.directory / "record.json", make_record(**told))
    return tmp_path


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["xrai-bench", "run", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_the_matrix_says_what_is_left_and_runs_nothing(
    matrix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    before = sorted(matrix.rglob("*"))
    asked = ("--task", "quick", "--task", "full-20k", "--method", "floor", "--method", "dragonfly")
    assert _call(monkeypatch, *asked, "--all-seeds", "--status") == 0
    shown = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "quick 1 of 5, 1 failed 0 of 1" in lines
    assert "full-20k 0 of 3 not run" in lines
    assert lines[-1] == (
        "1 of 9 runs done; left: quick dragonfly seed 0, quick floor seeds 2 to 4, full-20k floor "
        "seeds 0 to 2; failed: quick floor seed 1"
    )
    assert sorted(matrix.rglob("*")) == before


def test_a_run_says_what_is_left_in_the_end(
    matrix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(worker, "simulate", _simulated)
    made: list[int] = []

    def run(job: worker.Job) -> Record | worker.Failure:
        made.append(job.seed)
        if job.seed == 1:
            return worker.Failure(message="stuck again")
        return worker.failed_record(job, "", 1.0)

    monkeypatch.setattr(pipeline, "in_child", run)
    assert _call(monkeypatch, "--method", "floor", "--all-seeds", "--json") == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 5
    assert made == [1, 2, 3, 4]
    said = "4 of 5 runs done; failed: quick floor seed 1; go on with `xrai-bench run --method"
    assert said in " ".join(err.split())
    assert _call(monkeypatch, "--method", "floor", "--json") == 0
    assert "1 of 1 runs done" in capsys.readouterr().err.splitlines()[-1]


def test_a_run_that_is_stopped_says_what_is_left(
    matrix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def run(*given: Any, told: Callable[[Record], None], **rest: Any) -> list[Record]:
        told(record.read(matrix / "runs/bench/quick/floor-0/record.json"))
        raise stopping.Stopped(signal.SIGINT)

    monkeypatch.setattr(pipeline, "run", run)
    asked = ("--method", "floor", "--seeds", "3", "--fresh")
    assert _call(monkeypatch, *asked) == 130
    said = " ".join(capsys.readouterr().err.split())
    assert "1 of 3 runs done; left: quick floor seeds 1 and 2; go on with `xrai-bench run" in said
    assert "--fresh" not in said.split("go on with")[1]


def test_a_long_line_names_some_and_counts_the_rest(make_record: MakeRecord) -> None:
    found = Matrix()
    for number in range(9):
        found.note(make_record(method=f"m{number}", error="stuck"))
    assert found.line().endswith("quick m5 seed 0, and 3 more (--status)")
    console = Console(width=80, file=io.StringIO())
    console.print(found.table())


def test_old_records_are_open_and_live(make_record: MakeRecord, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    record.write(path, make_record())
    new = {"division", "budget_s", "status", "status_reason", "commitment", "artefacts_sha256"}
    kept = {name: value for name, value in json.loads(path.read_text()).items() if name not in new}
    path.write_text(json.dumps(kept))
    found = record.read(path)
    assert (found.division, found.status, found.budget_s) == ("open", "live", None)
    assert config.to_mapping(found)["status"] == "live"
