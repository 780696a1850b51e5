"""What somebody else left is scored as it is, and says that it is self-reported."""

import io
import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks import cli, leaderboard, pipeline, record, report
from benchmarks.record import SELF_REPORTED, Record
from benchmarks.submission import score_result
from benchmarks.task import Task, load_task
from benchmarks.truth import true_particle
from xraisim.core.errors import FormatError
from xraisim.core.machine import Hardware
from xraisim.core.types import Volume
from xraisim.files.poses import read_poses, write_poses
from xraisim.files.result import Result, write_result
from xraisim.files.truth import read_truth, truth_path
from xraisim.files.volumes import read_volume, write_volume
from xraisim.scattering.friedel import scattering_grid

PATTERNS = "runs/bench/small/data-0/patterns.h5"
GRID, SPACING = 27, 0.0017
TELLS = Result(
    method="theirs", method_version="3.1", seconds=40.0, peak_memory_gib=9.0, seed=4,
    hardware=Hardware(cpu="Their CPU", cores=64, memory_gib=512.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a task like `smoke` of few patterns, and its data made as a run makes it."""
    directory = tmp_path_factory.mktemp("score")
    smoke = (files("benchmarks") / "tasks" / "regression" / "smoke.toml").read_text()
    text = smoke.replace("patterns = 800", "patterns = 60")
    (directory / "small.toml").write_text(text)
    pipeline.dataset(load_task(str(directory / "small.toml")), directory / "runs/bench")
    return directory


@pytest.fixture(scope="module")
def task(work: Path) -> Task:
    return load_task(str(work / "small.toml"))


@pytest.fixture(scope="module")
def theirs(work: Path, task: Task) -> Path:
    """A directory that knows the truth."""
    known = read_truth(truth_path(work / PATTERNS))
    particle = true_particle(task.simulate, "", (0.004, 0.02), None)
    F = scattering_grid(particle.particle, GRID, SPACING, particle.photon_energy_ev)
    volume = Volume(values=torch.from_numpy(np.abs(F) ** 2), spacing=SPACING, kind="intensity")
    directory = work / "theirs"
    directory.mkdir()
    write_volume(directory / "intensity.mrc", volume)
    write_poses(directory / "poses.h5", {"orientations": known.orientations})
    write_result(directory, TELLS)
    return directory


def test_a_directory_is_written_as_the_docs_say(
    theirs: Path, work: Path, task: Task, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (repository / "docs/how_to/my_method.md").read_text()
    found = re.search(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found
    (work / "mine").mkdir()
    monkeypatch.chdir(work)
    volume = 1e-3 * read_volume(theirs / "intensity.mrc").values.numpy()  # in units of their own
    known = read_poses(theirs / "poses.h5")["orientations"]
    exec(found[1], {"volume": volume, "spacing": SPACING, "orientations": known})
    (work / "out/small/mine-0-self-reported").mkdir(parents=True)
    (work / "out/small/mine-0-self-reported/record.json").write_text("of before")
    made = score_result("mine", task, "out", truth=truth_path(work / PATTERNS))
    assert record.read(work / "out/small/mine-0-self-reported/record.json").date == made.date
    assert made.label == "mine, self-reported"
    assert made.metrics["pose_error_median_deg"].value < 2.0
    assert made.metrics["fsc_truth_0.5"].value < 68.0
    assert made.seconds["reconstruct"] == 420.0


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, work: Path) -> Callable[..., int]:
    """Run ``xrai-bench score`` in the directory; return its exit code."""

    def run(*arguments: str | Path) -> int:
        monkeypatch.chdir(work)
        monkeypatch.setattr("sys.argv", ["xrai-bench", "score", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0)

    return run


def test_a_directory_has_a_row_that_says_who_says_so(
    bench: Callable[..., int], theirs: Path, work: Path, capsys: pytest.CaptureFixture
) -> None:
    given = ("--task", "small.toml", "--out", "kept", "--notes", "On\nour cluster.", "--json")
    assert bench(theirs, *given) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["origin"] == SELF_REPORTED
    assert (row["task_version"], len(row["photons_sha256"]), row["photons_agree"]) == (1, 64, False)
    assert row["metrics"]["pose_error_median_deg"]["value"] < 2.0
    assert row["metrics"]["icc_truth_0.5"]["value"] < 56.0
    (path,) = (work / "kept").iterdir()
    assert path.name == "small-theirs-4-self-reported.json"
    made = record.read(path)
    assert (made.notes, made.patterns, made.patterns_per_s) == ("On our cluster.", 60, 1.5)
    assert (made.seconds["reconstruct"], made.peak) == (40.0, 9.0)
    assert (made.hardware, made.versions["theirs"]) == (TELLS.hardware, "3.1")
    # Beside runs, where the page finds its slices.
    (shown,) = report.load(work / "runs/bench")
    assert shown.record == made
    assert shown.slices is not None
    report.write(work / "page.html", [shown])
    page = (work / "page.html").read_text()
    assert 'data-method="theirs" data-origin="self-reported"' in page
    assert "small, theirs, self-reported: On our cluster." in page
    # What is its own stays as it was.
    assert sorted(one.name for one in theirs.iterdir()) == [
        "intensity.mrc", "poses.h5", "result.json",
    ]  # fmt: skip


def test_a_volume_alone_needs_no_patterns(theirs: Path, task: Task, tmp_path: Path) -> None:
    made = score_result(theirs / "intensity.mrc", task, tmp_path / "out", method="map")
    assert made.metrics["icc_truth_0.5"].value is not None
    assert {"fsc_truth_0.5", "prtf_1/e"} < set(made.metrics)
    assert not [name for name in made.metrics if "pose" in name or "half" in name]
    assert not list((tmp_path / "out").rglob("patterns.h5"))
    (entry,) = leaderboard.entries([made])
    cells = leaderboard.row(entry, leaderboard.columns([entry]))
    assert cells[0] == "map, self-reported"
    assert cells[-3:] == ["–", "–", "–"]  # patterns/s, time, memory: nobody says
    assert "machine not stated" in leaderboard.provenance([entry])


def test_poses_of_another_number_of_patterns_are_named(
    theirs: Path, task: Task, work: Path, tmp_path: Path
) -> None:
    columns = read_poses(theirs / "poses.h5")
    write_volume_like(theirs, tmp_path)
    write_poses(tmp_path / "poses.h5", {"orientations": columns["orientations"][:50]})
    with pytest.raises(FormatError, match="orientations of 50 patterns and the task has 60; expec"):
        score_result(tmp_path, task, work / "runs/bench", method="short")
    assert not (work / "runs/bench/small/short-0-self-reported").exists()


def write_volume_like(theirs: Path, directory: Path) -> None:
    (directory / "intensity.mrc").write_bytes((theirs / "intensity.mrc").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.mrc"], "nothing.mrc: No such file or directory"),
        (["empty"], "empty has no intensity.h5 or intensity.mrc; a result needs an intensity"),
        (["theirs", "--method", "a/b"], "the method is 'a/b'; expected a name of letters"),
        (["theirs", "--truth", "no.h5"], "no.h5: no such truth file"),
        (["coarse.h5"], "voxels 1 Å⁻¹ apart, out to 3 Å⁻¹; expected an intensity with voxels of"),
        (["density.h5"], "says that it is of kind 'density', not 'intensity'"),
    ],
)
@pytest.mark.usefixtures("theirs")
def test_what_cannot_be_scored_is_one_message(
    bench: Callable[..., int],
    work: Path,
    capsys: pytest.CaptureFixture,
    arguments: list[str],
    message: str,
) -> None:
    (work / "empty").mkdir(exist_ok=True)
    values = torch.ones(7, 7, 7)
    write_volume(work / "coarse.h5", Volume(values=values, spacing=1.0, kind="intensity"))
    write_volume(work / "density.h5", Volume(values=values, spacing=1.0, kind="density"))
    assert bench(*arguments, "--task", "small.toml") == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert message in shown
    assert "Traceback" not in shown


def test_a_truth_of_other_patterns_is_told_and_its_seed_is_not(
    theirs: Path, work: Path, task: Task, tmp_path: Path
) -> None:
    truth = tmp_path / "blind.truth.h5"
    truth.write_bytes((work / "runs/bench/small/data-0/patterns.truth.h5").read_bytes())
    with h5py.File(truth, "r+") as file:
        file.attrs["seed"] = f"{2**127 + 5}"  # as of blind data
    made = score_result(theirs, task, tmp_path / "out", truth=truth)
    assert made.metrics["pose_error_median_deg"].value is not None
    assert made.data_seed == 0
    assert made.warnings == ("scored against the truth of other patterns than the task's own",)


def test_a_truth_of_another_sample_is_refused(
    bench: Callable[..., int], theirs: Path, work: Path, capsys: pytest.CaptureFixture
) -> None:
    other = (work / "small.toml").read_text().replace('chains = "B*"', 'chains = "BD"')
    (work / "other.toml").write_text(other)
    assert bench(theirs, "--task", "other.toml", "--truth", truth_path(work / PATTERNS)) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert "of another sample than the task's: chains of 4v5d is 'B*', expected 'BD'" in shown


def test_runs_and_reports_of_one_method_are_two_rows(make_record: Callable[..., Record]) -> None:
    told = make_record(method="oracle", origin=SELF_REPORTED, date="2026-02-01T00:00:00+00:00")
    found = leaderboard.entries([make_record(fsc=20.0), make_record(method="oracle"), told])
    assert [one.label for one in found] == ["oracle", "xrai", "oracle, self-reported"]
    console = Console(width=80, record=True, file=io.StringIO())
    for table in leaderboard.tables(found):
        console.print(table)
    shown = console.export_text()
    assert "reported" in shown
    assert "…" not in shown


def test_old_records_are_runs(make_record: Callable[..., Record], tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    record.write(path, make_record())
    old = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("origin", "notes")}
    path.write_text(json.dumps(old))
    assert record.read(path).origin == record.RUN
    path.write_text(json.dumps(old | {"origin": "heard"}))
    with pytest.raises(FormatError, match="origin is 'heard'; expected one of run, self-reported"):
        record.read(path)
