"""The whole line at low resolution, through the command: it runs, and it resolves what it should.

Measured on the `smoke` task, seeds 0 … 2: X-RAI's intensity correlates to the edge of the data
(55 Å), its density to 56, 77 and 65 Å; the oracle's to 53, 53 and 66 Å. The test runs seed 0; its
bounds leave a margin for other processors' rounding. A broken start, search, merge, phasing or
alignment ends above 100 Å or nowhere.
"""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from benchmarks import cli, record

Bench = Callable[..., tuple[int, list[dict]]]

XRAI_ICC, XRAI_FSC, XRAI_POSE_DEG = 62.0, 80.0, 12.0
ORACLE_ICC, ORACLE_FSC = 56.0, 68.0


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, work: Path) -> Bench:
    """Run ``xrai-bench run --json``; return its exit code and its rows."""

    def run(*arguments: str) -> tuple[int, list[dict]]:
        common = ["--task", str(work / "small.toml"), "--out", str(work / "out"), "--json"]
        monkeypatch.setattr("sys.argv", ["xrai-bench", "run", *common, *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), json.loads(capsys.readouterr().out)

    return run


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty work directory and a task like `smoke` whose EMC asks for a missing device."""
    directory = tmp_path_factory.mktemp("bench")
    smoke = (files("benchmarks") / "tasks" / "regression" / "smoke.toml").read_text()
    text = smoke.replace("[emc]", '[emc]\ndevice = "cuda:99"')
    assert text != smoke
    (directory / "small.toml").write_text(text)
    return directory


def test_the_whole_line(work: Path, bench: Bench) -> None:
    code, rows = bench("--method=xrai", "--method=emc", "--method=oracle")
    found = {row["method"]: row for row in rows}

    # A method that fails has a row with the reason, and the others finish.
    assert code == 1
    assert "no compute device 'cuda:99'" in found["emc"]["error"]
    assert [found[name]["error"] for name in ("xrai", "oracle")] == ["", ""]

    _resolves(found["xrai"], XRAI_ICC, XRAI_FSC)
    _resolves(found["oracle"], ORACLE_ICC, ORACLE_FSC)
    assert _value(found["xrai"], "pose_error_median_modulo_mate_deg") < XRAI_POSE_DEG
    # What the alignment itself is off by.
    assert _value(found["oracle"], "pose_error_p90_deg") < 1.0
    assert "encoder_pose_error_median_deg" in found["xrai"]["metrics"]
    assert _value(found["xrai"], "icc_half_0.143") < XRAI_ICC
    for row in (found["xrai"], found["oracle"]):
        assert row["task_version"] == 1
        assert row["photons_agree"] is not None, "false where a processor rounds otherwise"
        assert 0.1 < max(row["peak_gib"].values()) < 4.0
        assert set(row["seconds"]) == {"simulate", "reconstruct", "phase", "score"}

    page = (work / "out" / "report.html").read_text()
    assert page.count('alt="Density of ') == page.count('class="surface"') == 3
    assert "no compute device" in page


def _resolves(row: dict, icc: float, fsc: float) -> None:
    assert _value(row, "icc_truth_0.5") <= icc
    assert _value(row, "fsc_truth_0.5") <= fsc


def _value(row: dict, metric: str) -> float:
    found = row["metrics"][metric]["value"]
    assert found is not None
    return found


def test_finished_runs_are_used_again(work: Path, bench: Bench) -> None:
    path = work / "out" / "small" / "oracle-0" / "record.json"
    before = path.stat().st_mtime_ns
    code, rows = bench("--method=oracle", "--record", str(work / "kept"))
    assert code == 0
    assert path.stat().st_mtime_ns == before
    assert record.read(work / "kept" / "small-oracle-0.json").date == rows[0]["date"]
