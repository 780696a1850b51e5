"""``xrai-bench table --format``: the leaderboard to be read, the records to go on with."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import cli, pipeline, table_formats
from benchmarks.dataframe import runs
from benchmarks.record import Record
from xraisim.core.errors import UserError

MakeRecord = Callable[..., Record]
Invoke = Callable[..., int]


@pytest.fixture
def made(make_record: MakeRecord) -> list[Record]:
    return [
        make_record(seed=0, fsc=25.0, warnings=("its text, with a comma",)),
        make_record(seed=1, fsc=None),
        make_record(method="emc", error="out of & memory", metrics={}, curves=()),
    ]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: list[Record]) -> Invoke:
    """Run ``xrai-bench table`` beside a directory of records; return the exit code."""
    pipeline.keep(made, tmp_path / "records")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        command = ["xrai-bench", "table", "--records", "records", *arguments]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0)

    return run


def test_csv_holds_every_figure(made: list[Record]) -> None:
    text = table_formats.FORMATS["csv"](made)
    table = pd.read_csv(io.BytesIO(text))
    numbers = runs(made).select_dtypes("number").astype(float)
    pd.testing.assert_frame_equal(table[numbers.columns].astype(float), numbers)
    assert table["fsc_truth_0.5"].tolist()[:2] == [25.0, float("inf")]
    assert table.error[2] == "out of & memory"


def test_parquet_holds_the_table(made: list[Record]) -> None:
    pytest.importorskip("pyarrow", reason="Parquet is an extra")
    table = pd.read_parquet(io.BytesIO(table_formats.FORMATS["parquet"](made)))
    pd.testing.assert_frame_equal(table, runs(made))


def test_without_pyarrow_parquet_says_what_to_install(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert invoke("--out", "records.parquet") == 2
    assert "pip install 'x-rai[parquet]'" in capsys.readouterr().err
    assert not Path("records.parquet").exists()


def test_latex_is_a_table_per_task(made: list[Record], make_record: MakeRecord) -> None:
    text = table_formats.FORMATS["latex"]([*made, make_record(task="my_task")]).decode()
    assert text.count(r"\begin{tabular}{lrr") == 2
    assert r"\caption{my\_task: medians over seeds (range). 8,000 patterns, " in text
    assert r"fsc\_truth\_0.5 ({\AA})" in text
    assert r"\ldots{} not resolved" in text
    assert "emc & failed & " in text
    assert text.isascii()


def test_what_is_printed_is_what_is_written(invoke: Invoke, capsys: pytest.CaptureFixture) -> None:
    for name, ending in [("markdown", "md"), ("csv", "csv"), ("latex", "tex"), ("json", "json")]:
        assert invoke("--format", name) == 0
        printed = capsys.readouterr().out
        assert invoke("--out", f"table.{ending}") == 0
        assert Path(f"table.{ending}").read_text() == printed
    assert invoke("--format", "csv", "--out", "table.txt") == 0
    assert Path("table.txt").read_text() == Path("table.csv").read_text()


def test_markdown_and_json_are_those_of_before(
    invoke: Invoke, capsys: pytest.CaptureFixture
) -> None:
    assert invoke("--write", "LEADERBOARD.md") == 0
    assert invoke("--out", "table.md") == 0
    assert Path("table.md").read_text() == Path("LEADERBOARD.md").read_text()
    assert invoke("--json") == 0
    printed = capsys.readouterr().out
    assert invoke("--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(printed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "latx"], "unknown format 'latx'; did you mean latex?"),
        (["--format", "parquet"], "give a file: --out records.parquet"),
        (["--out", "table.xlsx"], "table.xlsx says no format by its ending (.md, .csv"),
        (["--json", "--format", "csv"], "give one of --write, --json"),
        (["--out", "records/quick-xrai-0.json", "--force"], "is what is read"),
    ],
)
def test_what_cannot_be_written_is_said(
    invoke: Invoke, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    assert invoke(*arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_file_is_replaced_only_when_told(invoke: Invoke, capsys: pytest.CaptureFixture) -> None:
    Path("table.csv").write_text("mine")
    assert invoke("--out", "table.csv") == 2
    assert "--force" in capsys.readouterr().err
    assert Path("table.csv").read_text() == "mine"
    assert invoke("--out", "table.csv", "--force") == 0
    assert Path("table.csv").read_text().startswith("task,method")


def test_a_file_without_an_ending_needs_a_format() -> None:
    assert table_formats.choose("csv", None) == "csv"
    with pytest.raises(UserError, match=r"--format markdown\|csv"):
        table_formats.choose(None, Path("table"))
