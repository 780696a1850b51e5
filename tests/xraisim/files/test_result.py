"""What a run says of itself, in its file."""

import json

import pytest

from xraisim.core.errors import FormatError
from xraisim.core.fsc import Resolution
from xraisim.core.machine import hardware
from xraisim.files.result import (
    FORMAT,
    NAME,
    Result,
    half_paths,
    is_finished,
    read_result,
    write_result,
)  # fmt: skip

RESULT = Result(
    method="mine",
    method_version="1.2",
    patterns=100,
    seconds=2.5,
    patterns_per_s=40.0,
    d_min_angstrom=18.4,
    resolution=Resolution(rule="icc_half_0.143", angstrom=18.4, reached_edge=True),
    warnings=("one; of two parts", "two"),
    seed=3,
    hardware=hardware(),
    figures={"rounds": 4, "starts": [1.0, 2.0], "nothing": None},
)


def test_what_is_written_is_read_again(tmp_path):
    assert read_result(tmp_path) is None
    assert not is_finished(tmp_path)
    write_result(tmp_path, RESULT)
    assert read_result(tmp_path) == RESULT
    assert is_finished(tmp_path)
    content = json.loads((tmp_path / NAME).read_text())
    assert (content["format"], content["version"]) == (FORMAT, 2)
    assert content["resolution"] == {
        "rule": "icc_half_0.143", "angstrom": 18.4, "reached_edge": True,
    }  # fmt: skip


def test_its_rows_state_rule_and_edge_and_leave_out_what_is_not_known():
    rows = RESULT.rows()
    assert rows["resolution"] == "icc_half_0.143 ≤ 18.4 Å"
    assert rows["warnings"] == "one; of two parts; two"
    assert rows["rounds"] == 4
    assert not {"nothing", "peak_memory_gib", "figures"} & set(rows)
    assert next(iter(rows)) == "method"


def test_version_1_is_read(tmp_path):
    former = {
        "method": "xrai", "patterns": 8000, "rounds": 14, "seconds": 59.2, "patterns_per_s": 135.0,
        "d_min_angstrom": 16.3, "device": "cpu", "peak_memory_gib": 1.25, "warnings": "a; b",
        "outliers": 0.001,
    }  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps(former))
    with pytest.warns(UserWarning, match="of version 1, now result.json"):
        found = read_result(tmp_path)
    assert (found.method, found.patterns, found.warnings) == ("xrai", 8000, ("a", "b"))
    assert found.figures == {"rounds": 14, "outliers": 0.001}
    assert found.seed is None


def test_half_sets_of_version_1_are_found(tmp_path):
    assert [path.name for path in half_paths(tmp_path)] == ["half_1.h5", "half_2.h5"]
    (tmp_path / "intensity_half1.h5").touch()
    assert [path.name for path in half_paths(tmp_path)] == [
        "intensity_half1.h5", "intensity_half2.h5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a readable JSON object"),
        ("[1]", "expected a JSON object"),
        ('{"format": "x-rai result", "version": 3}', "is no x-rai result of version 2"),
        ('{"format": "x-rai result", "version": 2}', "is not a whole result"),
        (
            '{"format": "x-rai result", "version": 2, "metod": "x"}',
            "unknown configuration key metod; did you mean method",
        ),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, text, message):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(FormatError, match=message):
        read_result(tmp_path)


@pytest.mark.parametrize(
    ("former", "method", "said"),
    [
        ({"r_factors": [0.1], "doubts": ["a; b"], "seconds": 2.0}, "phasing", ("a; b",)),
        ({"patterns": 4, "classes": [{"number": 0}], "seconds": 2.0}, "classify", ()),
    ],
)
def test_the_summaries_of_before_are_results(tmp_path, former, method, said):
    (tmp_path / "summary.json").write_text(json.dumps(former))
    with pytest.warns(UserWarning, match="version 1"):
        found = read_result(tmp_path)
    assert (found.method, found.warnings, found.seconds) == (method, said, 2.0)
