"""Metrics are registered, and what is registered is everywhere."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import cli, pipeline, regression_band, regression_check
from benchmarks.comparison import Comparison, Reconstruction, ScoreConfig, TrueParticle
from benchmarks.metrics import METRICS, Metric, ShellCurve, crossing, patterns_to_reach, register
from benchmarks.record import Curve, Record, Value
from benchmarks.score import score
from xraisim.files.events import read_events

NAME, CURVE = "photons_explained", "shell_agreement"
SHELLS = Curve(name=CURVE, s_per_angstrom=(0.01, 0.02, 0.03), value=(0.9, 0.7, 0.3))


@pytest.fixture
def throw_away() -> Iterator[Metric]:
    """A metric of which more is better, and beside it one that is read from a curve of its own."""
    more = Metric(
        name=NAME,
        rule="share of photons that the volume explains",
        unit="%",
        better="higher",
        measure=lambda comparison: Value(value=float(len(comparison.truth.orientations))),
    )
    curve = ShellCurve(name=CURVE, title="Agreement of shells", shells=lambda comparison: SHELLS)
    rule = "where shells agree to 0.5"
    register(more)
    register(crossing(name="shells_0.5", rule=rule, threshold=0.5, curve=curve))
    yield more
    for name in (NAME, "shells_0.5"):
        del METRICS[name]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run ``xrai-bench`` in an empty directory and return its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["xrai-bench", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0)

    return run


def test_every_metric_says_what_it_is() -> None:
    assert list(METRICS)[:3] == ["icc_truth_0.5", "fsc_truth_0.5", "prtf_1/e"]
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.rule
        assert metric.curve is None or metric.threshold is not None
        assert name.endswith("_deg") == (metric.unit == "°")


def test_every_metric_is_on_its_page(repository: Path) -> None:
    page = (repository / "docs/reference/metrics.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall("`([^`]+)`", row)}
    assert told - set(METRICS) == {"seconds", "patterns_per_s", "peak_gib", "energy_joule"}
    assert set(METRICS) <= told


def test_a_new_metric_is_in_what_scoring_gives(
    throw_away: Metric, result: Reconstruction, truth: TrueParticle
) -> None:
    found = score(result, truth, ScoreConfig(align_fine_angstrom=25.0, slice_points=21), 0)
    assert found.metrics[NAME] == Value(value=float(len(truth.orientations)))
    assert found.metrics["shells_0.5"].value == pytest.approx(1 / 0.025)
    assert CURVE in [curve.name for curve in found.curves]


def test_a_new_metric_is_in_record_table_page_and_check(
    throw_away: Metric,
    make_record: Callable[..., Record],
    invoke: Callable[..., int],
    capsys: pytest.CaptureFixture,
) -> None:
    def made(seed: int, value: float) -> Record:
        one = make_record()
        own = {NAME: Value(value=value), "shells_0.5": Value(value=40.0)}
        return make_record(seed=seed, metrics=one.metrics | own, curves=(*one.curves, SHELLS))

    pipeline.keep([made(seed, 80.0 + seed % 3) for seed in range(10)], Path("seeds"))
    pipeline.keep([made(11, 60.0)], Path("bad"))
    pipeline.keep([made(11, 99.0)], Path("better"))
    written = json.loads(Path("seeds/quick-xrai-0.json").read_text())
    assert written["metrics"][NAME] == {"value": 80.0, "reached_edge": False}

    assert invoke("table", "--records", "seeds", "--write", "LEADERBOARD.md") == 0
    table = Path("LEADERBOARD.md").read_text()
    assert f"{NAME} (%)" in table
    assert "81.0 (80.0 … 82.0)" in table

    assert invoke("report", "seeds") == 0
    page = Path("seeds/report.html").read_text()
    assert throw_away.rule in page
    assert "<span>Agreement of shells</span>" in page

    assert invoke("band", "seeds", "--write", "bands") == 0
    capsys.readouterr()
    assert invoke("check", "bad", "--against", "bands") == 1
    assert f"worse: quick, xrai, seed 11: {NAME} is 60 %" in capsys.readouterr().out
    assert invoke("check", "better", "--against", "bands") == 0
    assert f"better: quick, xrai, seed 11: {NAME} is 99 %" in capsys.readouterr().out


def test_more_is_better_and_not_reached_is_the_worst(
    throw_away: Metric, make_record: Callable[..., Record]
) -> None:
    records = [make_record(seed=n, metrics={NAME: Value(value=80.0)}) for n in range(10)]
    band = regression_band.make(records)
    lost = make_record(seed=20, metrics={NAME: Value(value=None)})
    (found,) = regression_check.check([lost], {("quick", "xrai"): band})
    assert found.verdict == "worse"
    assert "not reached" in found.text


def test_patterns_count_until_the_half_sets_agreed(
    result: Reconstruction, truth: TrueParticle, tmp_path: Path
) -> None:
    def reached(angstrom: float) -> Value | None:
        logged = dataclasses.replace(result, events=read_events(tmp_path / "metrics.jsonl"))
        config = ScoreConfig(reach_angstrom=angstrom)
        return patterns_to_reach.measure(Comparison(logged, truth, config))

    assert reached(40.0) is None
    rounds = ({"patterns": 500, "icc_half_0.143_angstrom": d} for d in (60.0, None, 35.0))
    events = [{"event": "start"}, *({"event": "round", **one} for one in rounds)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    assert reached(40.0) == Value(value=1500.0)
    assert reached(20.0) == Value(value=None)
