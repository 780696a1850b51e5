"""Logs of runs, while they are written and when they are damaged; under names of before."""

import pytest

from xraisim.core.errors import FormatError
from xraisim.files.events import read_events


def test_a_line_that_is_being_written_is_left(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"a": 1}\n{"a": nu')
    assert read_events(path) == ({"a": 1},)
    path.write_text('{"a": 1}\n[1, 2]\n')
    with pytest.raises(FormatError, match="line 2: found JSON of"):
        read_events(path)


def test_what_a_log_of_before_names_otherwise_has_todays_name(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"icc_half_angstrom": 20.5}\n')
    assert read_events(path) == ({"icc_half_0.143_angstrom": 20.5},)
    assert read_events(tmp_path / "none.jsonl") == ()
