"""Records as pandas tables: what a row, a shell and a statistic is."""

import dataclasses
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import benchmarks
from benchmarks import record
from benchmarks.dataframe import curves, newest, runs
from benchmarks.metrics import METRICS
from benchmarks.record import Curve, Record, Value
from xraisim.core.errors import FormatError

MakeRecord = Callable[..., Record]


def test_a_row_says_what_its_record_says(make_record: MakeRecord) -> None:
    one = make_record(
        data_seed=4, commit="abc123", warnings=("a", "b"), date="2026-11-28T23:48:00+00:00"
    )
    row = runs([one]).iloc[0]
    assert (row.task, row.method, row.seed, row.data_seed) == ("quick", "xrai", 0, 4)
    assert row.date == pd.Timestamp("2026-11-28 23:48", tz="UTC")
    assert (row.commit, row.version, row.config_hash) == ("abc123", "0.1.0", "abc")
    assert (row.cpu, row.cores, row.memory_gib, row.gpu) == ("Test CPU", 2, 8.0, "")
    assert row.task_version == 1
    assert (row.patterns, row.photons_per_pattern, row.patterns_per_s) == (8000, 5000.0, 80.0)
    assert (row.seconds, row.seconds_reconstruct, row.seconds_simulate) == (125.0, 100.0, 10.0)
    assert (row.peak_gib, row.peak_gib_reconstruct) == (2.5, 1.5)
    assert (row["fsc_truth_0.5"], row["pose_error_p90_deg"]) == (25.0, 5.0)
    assert (row.warnings, row.error) == (2, "")


def test_not_reached_is_the_worst_and_not_measured_is_missing(make_record: MakeRecord) -> None:
    edge = {"icc_truth_0.5": Value(value=18.2, reached_edge=True)}
    table = runs([make_record(fsc=None), make_record(metrics=edge)])
    assert table["fsc_truth_0.5"].tolist()[0] == math.inf
    assert math.isnan(table["fsc_truth_0.5"][1])
    assert table["icc_truth_0.5_reached_edge"].tolist() == [False, True]
    assert table["fsc_truth_0.5_reached_edge"].dtype == bool
    assert "pose_error_median_deg_reached_edge" not in table
    assert set(METRICS) <= set(table.columns)


def test_a_failed_run_has_a_row_without_figures(make_record: MakeRecord) -> None:
    failed = make_record(
        error="stuck", metrics={}, curves=(), peak_gib={}, patterns_per_s=0.0,
        seconds={"until failure": 3.0},
    )  # fmt: skip
    row = runs([make_record(), failed]).iloc[1]
    assert row.error == "stuck"
    assert (row.seconds, row.seconds_until_failure) == (3.0, 3.0)
    figures = ["peak_gib", "patterns_per_s", "seconds_reconstruct", "fsc_truth_0.5"]
    assert row[figures].isna().all()


def test_curves_in_long_form(make_record: MakeRecord) -> None:
    short = Curve(name="fsc_truth", s_per_angstrom=(0.01, 0.02), value=(1.0, 0.25))
    table = curves([make_record(seed=1, curves=(short,)), make_record(method="emc", curves=())])
    columns = ["task", "method", "origin", "division", "seed", "date", "curve", "s", "value"]
    assert table.columns.tolist() == columns
    assert table.drop(columns="date").to_numpy().tolist() == [
        ["quick", "xrai", "run", "open", 1, "fsc_truth", 0.01, 1.0],
        ["quick", "xrai", "run", "open", 1, "fsc_truth", 0.02, 0.25],
    ]
    assert curves([]).columns.tolist() == columns


def test_the_newest_row_of_a_seed_counts(make_record: MakeRecord) -> None:
    dates = ["2026-03-01", "2026-11-28T23:48:00+00:00", "2026-02-01", "long ago"]
    made = [make_record(date=date, fsc=20.0 + place) for place, date in enumerate(dates)]
    assert newest(runs([*made, make_record(seed=1)])).index.tolist() == [1, 4]


def test_statistics_over_seeds(make_record: MakeRecord) -> None:
    made = [make_record(seed=n, fsc=value) for n, value in enumerate([24.0, None, 26.0, 30.0])]
    failed = make_record(seed=4, fsc=1.0, error="stuck")
    found = benchmarks.over_seeds(runs([*made, failed])).loc["quick", "xrai", "run", "open"]
    assert found.loc["fsc_truth_0.5"].tolist() == [4, 28.0, 24.0, math.inf, False]
    assert found.loc["seconds", "median"] == 125.0
    assert "icc_half_0.143" not in found.index
    assert benchmarks.over_seeds(runs([failed])).empty
    assert benchmarks.over_seeds(runs([])).empty


def test_a_median_at_the_edge_of_the_data(make_record: MakeRecord) -> None:
    def at(seed: int, value: float, edge: bool) -> Record:
        return make_record(
            seed=seed, metrics={"icc_truth_0.5": Value(value=value, reached_edge=edge)}
        )

    for edges, expected in [((True, False, False), False), ((False, True, False), True)]:
        made = [at(n, 16.0 + n, edge) for n, edge in enumerate(edges)]
        found = benchmarks.over_seeds(runs(made)).loc["quick", "xrai", "run", "open"]
        assert found.loc["icc_truth_0.5", "reached_edge"] == expected


def test_what_somebody_reports_is_not_mixed_with_runs(make_record: MakeRecord) -> None:
    told = make_record(origin="self-reported", fsc=9.0, seconds={"score": 5.0}, peak_gib={})
    table = runs([make_record(), told])
    assert len(newest(table)) == 2
    found = benchmarks.over_seeds(table).loc["quick", "xrai"]
    assert found.loc[("run", "open", "fsc_truth_0.5"), "median"] == 25.0
    assert found.loc[("self-reported", "open", "fsc_truth_0.5"), "median"] == 9.0
    assert ("self-reported", "open", "seconds") not in found.index


def test_tables_of_two_places_go_together(make_record: MakeRecord) -> None:
    edge = {"pose_error_median_deg": Value(value=1.0, reached_edge=True)}
    both = pd.concat([runs([make_record()]), runs([make_record(seed=1, metrics=edge)])])
    found = benchmarks.over_seeds(both).loc["quick", "xrai", "run", "open"]
    assert found.loc["pose_error_median_deg", ["count", "median"]].tolist() == [2, 1.1]
    assert not found.loc["pose_error_median_deg", "reached_edge"]


def test_the_committed_records(repository: Path) -> None:
    table = benchmarks.load()
    found = record.read_all(repository / "benchmarks" / "records")
    assert len(table) == len(found)
    assert table.date.is_monotonic_increasing
    pd.testing.assert_frame_equal(table, benchmarks.load(str(record.RECORDS)))
    # Statistics by hand, of another library.
    over_seeds = benchmarks.over_seeds(table)
    for metric in METRICS.values():
        values = [
            metric.number(one.metrics[metric.name])
            for one in found
            if (one.task, one.method) == ("quick", "floor") and metric.name in one.metrics
        ]
        if values:
            row = over_seeds.loc["quick", "floor", "run", "open", metric.name]
            expected = [len(values), statistics.median(values), min(values), max(values)]
            assert row[["count", "median", "min", "max"]].tolist() == expected


def test_the_committed_curves_belong_to_rows() -> None:
    shells = benchmarks.load_curves()
    assert {"fsc_truth", "icc_truth", "prtf"} <= set(shells.curve)
    assert (shells.s > 0).all()
    assert shells.value.notna().all()
    keys = ["task", "method", "origin", "division", "seed", "date"]
    joined = shells.merge(benchmarks.load()[[*keys, "error"]], on=keys, validate="many_to_one")
    assert len(joined) == len(shells)


def test_a_work_directory_one_file_and_none(make_record: MakeRecord, tmp_path: Path) -> None:
    path = tmp_path / "quick" / "xrai-0" / "record.json"
    record.write(path, make_record())
    record.write(path.parent.parent / "emc-0" / "record.json", make_record(method="emc"))
    assert sorted(benchmarks.load(tmp_path).method) == ["emc", "xrai"]
    assert benchmarks.load(path).method.tolist() == ["xrai"]
    with pytest.raises(FormatError, match="no such file or directory"):
        benchmarks.load(tmp_path / "none")


def test_a_metric_without_a_threshold_that_reached_an_edge_says_so(make_record: MakeRecord) -> None:
    one = make_record()
    told = {"pose_error_median_deg": Value(value=1.0, reached_edge=True)}
    table = runs([dataclasses.replace(one, metrics=told)])
    assert table["pose_error_median_deg_reached_edge"].tolist() == [True]
