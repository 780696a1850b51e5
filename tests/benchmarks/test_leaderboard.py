"""The leaderboard: which records count, how medians are shown, what is a regression."""

from collections.abc import Callable
from pathlib import Path

from benchmarks import leaderboard, record
from benchmarks.record import Record, Value

MakeRecord = Callable[..., Record]


def _cell(entry: leaderboard.Entry, column: str) -> str:
    columns = leaderboard.columns([entry])
    return leaderboard.row(entry, columns)[[one.name for one in columns].index(column)]


def test_the_newest_record_of_a_seed_counts(make_record: MakeRecord) -> None:
    old = make_record(fsc=90.0, date="2026-01-01")
    new = make_record(fsc=24.0, date="2026-03-01")
    (entry,) = leaderboard.entries([new, old])
    assert _cell(entry, "fsc_truth_0.5 (Å)") == "24.0"
    assert _cell(entry, "seeds") == "1"


def test_medians_over_seeds_with_their_range(make_record: MakeRecord) -> None:
    made = [make_record(seed=n, fsc=value) for n, value in enumerate([24.0, 30.0, 25.0])]
    (entry,) = leaderboard.entries(made)
    assert _cell(entry, "fsc_truth_0.5 (Å)") == "25.0 (24.0 … 30.0)"
    assert _cell(entry, "icc_truth_0.5 (Å)") == "20.0"


def test_an_unresolved_seed_is_the_worst_and_not_left_out(make_record: MakeRecord) -> None:
    made = [make_record(seed=n, fsc=value) for n, value in enumerate([24.0, None, 26.0])]
    (entry,) = leaderboard.entries(made)
    assert _cell(entry, "fsc_truth_0.5 (Å)") == "26.0 (24.0 … not resolved)"
    (entry,) = leaderboard.entries([make_record(fsc=None)])
    assert _cell(entry, "fsc_truth_0.5 (Å)") == "not resolved"


def test_a_curve_that_reaches_the_edge_says_so(make_record: MakeRecord) -> None:
    edge = {"icc_truth_0.5": Value(value=18.2, reached_edge=True)}
    made = [make_record(method="oracle"), make_record(metrics=edge)]
    other, entry = leaderboard.entries(made)
    assert _cell(entry, "icc_truth_0.5 (Å)") == "≤ 18.2"
    assert leaderboard.row(entry, leaderboard.columns([entry, other]))[3] == "–"
    # A column of dashes alone tells nothing.
    assert "fsc_truth_0.5 (Å)" not in [one.name for one in leaderboard.columns([entry])]


def test_order_is_ceiling_methods_by_resolution_floor(make_record: MakeRecord) -> None:
    made = [
        make_record(method="floor", fsc=None),
        make_record(method="emc", fsc=40.0),
        make_record(method="xrai", fsc=24.0),
        make_record(method="oracle", fsc=21.0),
    ]
    assert [entry.method for entry in leaderboard.entries(made)] == [
        "oracle",
        "xrai",
        "emc",
        "floor",
    ]


def test_failed_runs_have_a_row_with_the_reason(make_record: MakeRecord) -> None:
    failed = make_record(method="emc", error="out of | memory", metrics={}, curves=())
    found = leaderboard.entries([make_record(), failed])
    assert leaderboard.row(found[1], leaderboard.columns(found))[:3] == ["emc", "failed", ""]
    assert "quick, emc, seed 0 failed: out of | memory" in leaderboard.markdown(found)


def test_a_row_with_some_failed_seeds_says_how_many(make_record: MakeRecord) -> None:
    failed = make_record(seed=1, error="stuck", metrics={}, curves=())
    (entry,) = leaderboard.entries([make_record(), failed])
    assert _cell(entry, "seeds") == "1 (1 failed)"


def test_markdown_is_a_table_per_task_with_its_origin(make_record: MakeRecord) -> None:
    found = leaderboard.entries([make_record(), make_record(task="other")])
    text = leaderboard.markdown(found)
    assert "## quick" in text
    assert "## other" in text
    assert "Test CPU, 2 cores, 8 GiB. x-rai 0.1.0. 2026-01-01." in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {len(leaderboard.columns(found)) + 1}


def test_the_committed_leaderboard_is_that_of_the_committed_records(repository: Path) -> None:
    # Made again by: xrai-bench table --write LEADERBOARD.md
    records = record.read_all(repository / "benchmarks" / "records")
    text = leaderboard.markdown(leaderboard.entries(records))
    assert (repository / "LEADERBOARD.md").read_text() == text


def test_a_method_that_is_not_installed_says_so_and_has_not_failed(make_record: MakeRecord) -> None:
    absent = make_record(method="dragonfly", error="not installed: no dragonfly.emc on PATH")
    (entry,) = leaderboard.entries([absent])
    columns = leaderboard.columns([entry])
    assert leaderboard.row(entry, columns)[:2] == ["dragonfly", "not installed"]
    assert leaderboard.failures([entry]) == []
    (entry,) = leaderboard.entries([absent, make_record(method="dragonfly", seed=1, error="stuck")])
    assert leaderboard.row(entry, leaderboard.columns([entry]))[:2] == ["dragonfly", "failed"]
    assert len(leaderboard.failures([entry])) == 1
