"""The HTML page: everything inside, text escaped, slices where there are any."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import record, report
from benchmarks.record import Record
from benchmarks.slices import Slices
from xraisim.core.errors import FormatError

MakeRecord = Callable[..., Record]


def _slices() -> Slices:
    draw = np.random.default_rng(1)
    planes = draw.random((4, 15, 15), dtype=np.float32)
    return Slices(
        intensity=planes[0],
        intensity_truth=planes[1],
        reach_per_angstrom=0.05,
        density=planes[2],
        density_truth=planes[3],
        reach_angstrom=150.0,
    )


@pytest.fixture
def work(make_record: MakeRecord, tmp_path: Path) -> Path:
    """A work directory with two finished runs, one of them with slices, and a failed one."""
    for name, changes in {
        "xrai-0": {},
        "oracle-0": {"method": "oracle", "fsc": 21.0},
        "emc-0": {"method": "emc", "error": "ran <out>", "curves": (), "metrics": {}},
    }.items():
        record.write(tmp_path / "quick" / name / "record.json", make_record(**changes))
    _slices().save(tmp_path / "quick" / "xrai-0" / "slices.npz")
    return tmp_path


def test_page_is_self_contained(work: Path) -> None:
    report.write(work / "report.html", report.load(work))
    page = (work / "report.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert len(addresses) == 3 + 1  # fsc, icc, prtf, slices
    assert "<script" not in page


def test_page_shows_rows_failures_and_configuration(work: Path) -> None:
    report.write(work / "report.html", report.load(work))
    page = (work / "report.html").read_text()
    assert page.index("<td>oracle</td>") < page.index("<td>xrai</td>") < page.index("<td>emc</td>")
    assert "ran &lt;out&gt;" in page
    assert "A test of &lt;tables&gt;." in page
    assert "heads = 8" in page


def test_records_alone_give_a_page_without_slices(make_record: MakeRecord, tmp_path: Path) -> None:
    record.write(tmp_path / "a.json", make_record())
    report.write(tmp_path / "report.html", report.load(tmp_path))
    assert "No slices" in (tmp_path / "report.html").read_text()


def test_picture_needs_slices(work: Path, make_record: MakeRecord, tmp_path: Path) -> None:
    report.write_picture(work / "images" / "quick.png", report.load(work))
    assert (work / "images" / "quick.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(FormatError, match="no slices beside these records"):
        report.write_picture(work / "x.png", [report.Shown(record=make_record())])


def test_damaged_slices_are_named(work: Path) -> None:
    (work / "quick" / "xrai-0" / "slices.npz").write_bytes(b"PK")
    with pytest.raises(FormatError, match=r"slices\.npz is not a readable file of slices"):
        report.load(work)


def test_slices_round_trip(tmp_path: Path) -> None:
    _slices().save(tmp_path / "s.npz")
    found = Slices.load(tmp_path / "s.npz")
    assert found.reach_angstrom == 150.0
    np.testing.assert_array_equal(found.density, _slices().density)
