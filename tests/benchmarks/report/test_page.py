"""The page as text: one file, escaped, whole for every kind of record; and the picture."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go
import pytest

from benchmarks import record, report
from benchmarks.record import Record
from benchmarks.report.page import page_of
from benchmarks.slices import Slices
from xraisim.core.errors import FormatError

MakeRecord = Callable[..., Record]


def without_library(page: str) -> str:
    """Return a page without the plotting library, whose text would be found by every search."""
    scripts = re.findall("<script>.*?</script>", page, flags=re.DOTALL)
    return page.replace(max(scripts, key=len), "")


@pytest.fixture
def page(work: Path) -> str:
    report.write(work / "report.html", report.load(work))
    return (work / "report.html").read_text()


def test_page_is_self_contained(page: str) -> None:
    assert page.count("* plotly.js v") == 1
    assert len(page) < 6e6
    own = without_library(page)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', own)
    assert sum(address.startswith("data:image/png") for address in addresses) == 2 * 3
    assert all(re.match("#|data:image/", address) for address in addresses)
    assert "default-src 'none'" in own


def test_every_figure_is_one_that_the_library_knows(page: str) -> None:
    (text,) = re.findall(r'id="figures">(.*?)</script>', page, flags=re.DOTALL)
    figures = [
        figure for plots in json.loads(text).values() for plot in plots for figure in plot.values()
    ]
    assert len(figures) > 10
    for figure in figures:
        go.Figure(figure)  # raises for what it does not know


def test_page_shows_rows_failures_warnings_and_configuration(page: str) -> None:
    own = without_library(page)
    rows = re.findall(r'<tr data-task="quick" data-method="(\w+)"', own)
    assert rows == ["oracle", "theirs", "xrai", "emc"]
    for text in ("ran &lt;out&gt;", "A test of &lt;tables&gt;.", "heads = 8", "Test CPU, 2 cores",
                 "the encoder has &lt;collapsed&gt;", "torch 2.13.0",
                 "theirs, self-reported: by hand", "No slices"):  # fmt: skip
        assert text in own
    assert "<collapsed>" not in own


def test_only_what_differs_is_filtered_by(page: str, make_record: MakeRecord) -> None:
    assert re.findall('data-filter="(\\w+)"', page) == ["task", "method", "origin"]
    suites = [make_record(task=name) for name in ("quick", "smoke")]
    told = page_of([report.Shown(record=one) for one in suites])
    assert re.findall('data-filter="(\\w+)"', told) == ["suite", "task"]


@pytest.mark.parametrize("count", [0, 1])
def test_few_records_make_a_page(make_record: MakeRecord, count: int) -> None:
    own = without_library(page_of([report.Shown(record=make_record())] * count))
    assert own.count("<article") == count
    assert ("No slices" in own) == bool(count)


def test_a_task_that_only_failed_has_a_part_of_its_own(make_record: MakeRecord) -> None:
    failed = make_record(error="ran out", curves=(), metrics={}, seconds={"until failure": 1.0})
    own = without_library(page_of([report.Shown(record=failed)]))
    assert "quick, xrai, seed 0 failed: ran out" in own
    assert 'class="drawing"' not in own


def test_tasks_stand_in_the_order_of_their_numbers(make_record: MakeRecord) -> None:
    shown = [report.Shown(record=make_record(task=f"ladder-{n}")) for n in (600, 74, 15, 150)]
    own = without_library(page_of(shown))
    assert re.findall(r"<h3>ladder-(\d+)</h3>", own) == ["15", "74", "150", "600"]


def test_views_that_are_too_many_are_left_out(
    work: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = next(one for one in report.load(work) if one.slices is not None)
    shown = [
        report.Shown(record=make_record(task=name), slices=views.slices) for name in ("a", "b")
    ]
    assert page_of(shown).count('alt="Density of xrai"') == 2
    monkeypatch.setattr("benchmarks.report.page._MOST_COLUMNS", 3)
    few = page_of(shown)
    assert few.count('alt="Density of xrai"') == 1
    assert "left out to keep the page small" in few


def test_picture_needs_slices(work: Path, make_record: MakeRecord, tmp_path: Path) -> None:
    shown = report.load(work / "quick")
    report.write_picture(work / "images" / "quick.png", shown)
    assert (work / "images" / "quick.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(FormatError, match="no slices beside these records"):
        report.write_picture(work / "x.png", [report.Shown(record=make_record())])


@pytest.mark.parametrize("name", ["slices", "cubes"])
def test_damaged_views_are_named(work: Path, name: str) -> None:
    (work / "quick" / "xrai-0" / f"{name}.npz").write_bytes(b"PK")
    with pytest.raises(FormatError, match=rf"{name}\.npz is not a readable file of {name}"):
        report.load(work)


def test_slices_of_another_shape_are_refused(work: Path, slices: Slices, tmp_path: Path) -> None:
    slices.save(tmp_path / "cubes.npz")
    (tmp_path / "cubes.npz").replace(work / "quick" / "xrai-0" / "cubes.npz")
    with pytest.raises(FormatError, match="cubes have"):
        report.load(work)


def test_records_alone_have_no_views(make_record: MakeRecord, tmp_path: Path) -> None:
    record.write(tmp_path / "a.json", make_record())
    (one,) = report.load(tmp_path)
    assert one.slices is None
    assert one.cubes is None
