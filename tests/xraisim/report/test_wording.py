"""Figures in words."""

import pytest

from xraisim.report import page
from xraisim.report.panels import in_words


@pytest.mark.parametrize(
    ("seconds", "words"), [(90.4, "90 s"), (150, "2 min"), (7000, "117 min"), (9000, "2.5 h")]
)
def test_durations(seconds, words):
    assert page.duration(seconds) == words


def test_figures_and_values():
    assert page.formatted(None, "{:.2f}") == ""
    assert page.formatted(1234.5, "{:,.0f}") == "1,234"
    assert in_words([1.23456789, "a", True]) == "1.23457, a, true"
