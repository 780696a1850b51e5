"""Methods: which of them run, those that are other people's programs where they are installed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import cli, pipeline, worker
from benchmarks.methods import METHODS, installed
from benchmarks.record import Record
from benchmarks.task import load_task
from benchmarks.worker import Dataset
from xrai import train


def test_what_is_not_installed_is_not_run_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XRAI_DRAGONFLY_BIN", str(tmp_path))
    task = load_task("smoke")
    default = [name for name in METHODS if not name.startswith("xrai-")]  # by name alone
    assert installed([task]) == [name for name in default if name != "dragonfly"]
    (tmp_path / "dragonfly.emc").touch(mode=0o755)
    assert installed([task]) == default


def test_the_published_method_reads_as_often_as_published(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = {}
    monkeypatch.setattr(
        train, "reconstruct", lambda patterns, out, settings: seen.update({settings.mode: settings})
    )
    task = load_task("published-500k")
    for method in ("xrai", "xrai-amortised", "xrai-paper"):
        METHODS[method].reconstruct(task, tmp_path, tmp_path, 3)
    assert (seen["hybrid"].single_pass, seen["paper"].single_pass) == (True, False)
    assert seen["paper"].end_to_end == task.xrai.end_to_end
    assert seen["paper"].seed == seen["hybrid"].seed == 3


def test_a_named_method_that_is_not_installed_gets_a_row_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    make_record: Callable[..., Record],
    tmp_path: Path,
) -> None:
    def simulate(task: object, directory: Path) -> Dataset:
        return Dataset(patterns=directory / "p.h5", count=800, photons_per_pattern=9.0, seconds=0.1)

    monkeypatch.setattr(worker, "simulate", simulate)
    monkeypatch.setenv("XRAI_DRAGONFLY_BIN", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    kept = make_record(task="smoke", method="dragonfly")
    pipeline.keep([kept], tmp_path / "records")
    arguments = ["--task", "smoke", "--method", "dragonfly", "--record", "records", "--json"]
    monkeypatch.setattr("sys.argv", ["xrai-bench", "run", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    (row,) = json.loads(capsys.readouterr().out)
    assert row["error"].startswith(f"not installed: {tmp_path} (XRAI_DRAGONFLY_BIN) has no")
    # The record of a machine that has it stays, and this run is made once it is installed here.
    assert json.loads((tmp_path / "records/smoke-dragonfly-0.json").read_text())["error"] == ""
    assert not list((tmp_path / "runs").rglob("record.json"))
