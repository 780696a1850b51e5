"""Bands over seeds, and what is held against them: what moved is told, noise is not."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cli, pipeline
from benchmarks import regression_band as band
from benchmarks import regression_check as check
from benchmarks.record import Curve, Record, Value
from xraisim.core.errors import ConfigError, FormatError
from xraisim.core.machine import Hardware

S = (0.01, 0.03, 0.05)
REACH = "patterns_to_reach_angstrom"
RULES = ("icc_truth_0.5", "fsc_truth_0.5", "prtf_1/e")


@pytest.fixture
def runs(make_record) -> Callable[..., list[Record]]:
    """Return a maker of one run per seed: figures with a spread of 2 %, shells with 10 %."""

    def make(seeds: range, angstrom: float = 20.0, pose: float = 1.0, c: float = 0.9) -> list:
        return [one(np.random.default_rng(seed), seed, angstrom, pose, c) for seed in seeds]

    def one(draw, seed: int, angstrom: float, pose: float, c: float) -> Record:
        worse = 1 + 0.02 * draw.normal(size=8)
        lost = np.array([0.5, 1.0, 2.0]) * (1 - c) * (1 + 0.1 * draw.normal(size=3))
        curves = [
            Curve(name=n, s_per_angstrom=S, value=tuple(1 - lost))
            for n in ("icc_truth", "fsc_truth")
        ]
        return make_record(
            seed=seed,
            metrics={
                **{rule: Value(value=angstrom * worse[n]) for n, rule in enumerate(RULES)},
                "pose_error_median_deg": Value(value=pose * worse[3]),
                "pose_error_p90_deg": Value(value=2 * pose * worse[4]),
                "pose_error_median_modulo_mate_deg": Value(value=pose * worse[3]),
                "pose_error_p90_modulo_mate_deg": Value(value=2 * pose * worse[4]),
                REACH: Value(value=float(int(8000 * worse[5]))),
            },
            curves=tuple(curves),
            warnings=("12.5 % of 800 patterns are outliers",),
        )  # fmt: skip

    return make


@pytest.fixture
def bands(runs) -> dict:
    found = band.make(runs(range(10)))
    return {(found.task, found.method): found}


def verdicts(records: list[Record], bands: dict) -> list[str]:
    return [one.verdict for one in check.check(records, bands)]


def test_another_seed_is_within_the_band(runs, bands) -> None:
    assert verdicts(runs(range(100, 110)), bands) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"angstrom": 24.0, "c": 0.8}, "fsc_truth_0.5 is 2"),
        ({"pose": 1.3}, "pose_error_median_modulo_mate_deg is 1.3"),
        ({"c": 0.8}, "1 − icc_truth at"),
    ],
)
def test_a_figure_that_is_worse_is_named_with_its_spreads(runs, bands, change, what) -> None:
    found = check.check(runs(range(100, 101), **change), bands)
    assert found[0].verdict == "worse"
    worse = [one.text for one in found if one.verdict == "worse"]
    assert any(what in one and "spreads)" in one for one in worse)


def test_a_crossing_that_jumps_along_a_curve_that_stayed_is_noted(runs, bands) -> None:
    found = check.check(runs(range(100, 101), angstrom=30.0), bands)
    resolutions = [one for one in found if " Å, the band" in one.text]
    assert {one.verdict for one in resolutions} == {"note", "worse"}
    # The fixture has no PRTF curve that could bear it out: that figure speaks for itself.
    assert [one.text[:4] for one in resolutions if one.verdict == "worse"] == ["prtf"]


def test_better_than_the_band_is_told_too(runs, bands) -> None:
    better = runs(range(100, 101), angstrom=15.0, pose=0.5, c=0.98)
    assert set(verdicts(better, bands)) == {"better"}


def test_a_resolution_that_is_lost_or_a_run_that_failed_is_worse(runs, bands, make_record) -> None:
    (lost,) = runs(range(100, 101))
    none = lost.metrics | {rule: Value(value=None) for rule in RULES}
    assert verdicts([dataclasses.replace(lost, metrics=none)], bands) == ["worse"] * 3
    never = lost.metrics | {REACH: Value(value=None)}
    assert verdicts([dataclasses.replace(lost, metrics=never)], bands) == ["worse"]
    untold = {name: value for name, value in lost.metrics.items() if name != REACH}
    without = dataclasses.replace(lost, metrics=untold, curves=())
    assert verdicts([without], bands) == ["worse"] * 3
    assert verdicts([make_record(error="stuck")], bands) == ["worse"]


def test_a_metric_that_the_band_does_not_have_is_not_looked_at(runs, bands) -> None:
    (one,) = runs(range(100, 101))
    newer = {
        "icc_truth_outermost": Value(value=0.0),
        "disconcurrence_half_median_deg": Value(value=90.0),
    }
    assert verdicts([dataclasses.replace(one, metrics=one.metrics | newer)], bands) == []


def test_a_new_warning_is_worse_and_a_known_one_is_not(runs, bands) -> None:
    (one,) = runs(range(100, 101))
    assert (
        verdicts([dataclasses.replace(one, warnings=("13 % of 90 patterns are outliers",))], bands)
        == []
    )
    assert verdicts([dataclasses.replace(one, warnings=("the encoder collapsed",))], bands) == [
        "worse"
    ]


def test_time_is_only_noted_and_only_on_the_same_hardware(runs, bands) -> None:
    (one,) = runs(range(100, 101))
    slow = dataclasses.replace(one, seconds={"reconstruct": 1000.0})
    assert verdicts([slow], bands) == ["note"]
    other = dataclasses.replace(slow, hardware=Hardware(cpu="Other", cores=2, memory_gib=8.0))
    assert verdicts([other], bands) == []


def test_other_settings_than_the_band_s_are_noted(runs, bands) -> None:
    (one,) = runs(range(3, 4))
    assert verdicts([dataclasses.replace(one, config_hash="other")], bands) == ["note"]
    assert verdicts([dataclasses.replace(one, data_seed=3)], bands) == ["note"]


def test_spreads_have_a_floor_and_nine_seeds_are_too_few(runs, make_record) -> None:
    same = [make_record(seed=seed, patterns=1) for seed in range(10)]
    found = band.make(same)
    assert all(one.spread > 0 for one in found.metrics.values())
    assert all(spread > 0 for curve in found.curves.values() for spread in curve.spread)
    with pytest.raises(ConfigError, match="a band needs 10"):
        band.make(same[:9])
    with pytest.raises(ConfigError, match=r"seeds \[3\] failed"):
        band.make([*same[:9], make_record(seed=3, error="stuck")])


def test_a_seed_that_went_astray_does_not_widen_the_band(runs, bands) -> None:
    (narrow,) = bands.values()
    strayed = band.make([*runs(range(9)), *runs(range(9, 10), angstrom=200.0, pose=60.0, c=0.1)])
    for name, figure in strayed.metrics.items():
        assert figure.spread < 2 * narrow.metrics[name].spread
    assert max(strayed.curves["icc_truth"].spread) < 2 * max(narrow.curves["icc_truth"].spread)


def test_bands_are_read_as_written_and_damage_is_named(bands, tmp_path: Path) -> None:
    (one,) = bands.values()
    path = band.write(tmp_path, one)
    assert band.read_all(tmp_path) == bands
    path.write_text('{"schema": "x"}')
    with pytest.raises(FormatError, match="is not a band"):
        band.read_all(tmp_path)
    with pytest.raises(FormatError, match="holds no bands"):
        band.read_all(tmp_path / "none")


def test_the_commands_make_bands_and_hold_runs_against_them(
    runs, monkeypatch, capsys, tmp_path: Path
) -> None:
    def invoke(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["xrai-bench", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0)

    monkeypatch.chdir(tmp_path)
    pipeline.keep(runs(range(10)), tmp_path / "seeds")
    pipeline.keep(runs(range(100, 101)), tmp_path / "fine")
    pipeline.keep(runs(range(100, 101), pose=3.0), tmp_path / "bad")
    assert invoke("band", "seeds", "--write", "bands") == 0
    assert invoke("check", "fine", "--against", "bands") == 0
    capsys.readouterr()
    assert invoke("check", "bad", "--against", "bands") == 1
    assert "worse: quick, xrai, seed 100: pose_error" in capsys.readouterr().out
    assert invoke("check", "bad", "--against", "bands", "--spreads", "1000") == 0
    assert invoke("check", "bad", "--against", "fine") == 2


def test_the_committed_bands_are_those_in_the_docs(repository: Path) -> None:
    # Made again by: xrai-bench band RUNS, which prints the table.
    bands = band.read_all(repository / "benchmarks" / "records" / "watched")
    docs = (page.read_text() for page in (repository / "docs").rglob("*.md"))
    assert any(band.markdown(bands) in page for page in docs)


def test_a_band_of_schema_1_has_the_names_of_today(repository: Path) -> None:
    # Their patterns had the seed of the run, and their metrics names with units.
    path = repository / "benchmarks" / "records" / "watched" / "watch-50s-xrai-band.json"
    former = json.loads(path.read_text())
    assert former["schema"] == "x-rai band 1"
    found = band.read_all(path.parent)["watch-50s", "xrai"]
    assert found.data_seeds == found.seeds == tuple(range(10))
    assert len(found.metrics) == len(former["figures"]) == 7
    names = {
        "pose error, p90, mates are wrong (°)": "pose_error_p90_deg",
        "patterns to 40 Å": REACH,
    }
    for old, new in names.items():
        assert list(found.metrics[new].values) == former["figures"][old]["values"]
