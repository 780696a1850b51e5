import pytest

from baselines.phasing.schedule import parse
from xraisim.core.errors import ConfigError


def test_what_is_in_parentheses_is_repeated():
    assert parse("2 x (2 raar, 1 er), 1 er", ("raar", "er")) == ["raar", "raar", "er"] * 2 + ["er"]
    assert parse("007 er", ("er",)) == ["er"] * 7


@pytest.mark.parametrize(
    "schedule", ["1" * 5000 + " er", "9999999999 er", "100001 er", "1" * 5000 + " x (1 er)",
                 "99999 x (99999 er)"],
)  # fmt: skip
def test_schedules_without_end_are_refused(schedule):
    with pytest.raises(ConfigError, match=r"at most 100,000|over 100,000 iterations"):
        parse(schedule, ("er",))
