"""Figures in words."""

import pytest

from xraisim.report_figures import wording


@pytest.mark.parametrize(
    ("seconds", "words"), [(90.4, "90 s"), (150, "2 min"), (7000, "117 min"), (9000, "2.5 h")]
)
def test_durations(seconds, words):
    assert wording.duration(seconds) == words


def test_figures_and_values():
    assert wording.figure(None, "{:.2f}") == ""
    assert wording.figure(1234.5, "{:,.0f}") == "1,234"
    assert wording.text([1.23456789, "a", True]) == "1.23457, a, true"
