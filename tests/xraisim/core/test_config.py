"""Configurations: TOML in and out, and errors that name the key."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraisim.core import config
from xraisim.core.errors import ConfigError
from xraisim.core.renamed import RenamedWarning
from xraisim.core.settings import DataSeed, Settings


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 1e-3
    heads: int = 8


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    resolution: float | None = None
    shells: tuple[float, ...] = (60.0, 40.0)
    robust: bool = True
    inner: Inner = field(default_factory=Inner)
    weights: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


def test_defaults_fill_what_is_not_given() -> None:
    made = config.from_mapping(Outer, {"name": "a", "inner": {"heads": 4}})
    assert made == Outer(name="a", inner=Inner(heads=4))


@given(
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    resolution=st.none() | st.floats(1, 1e3),
    shells=st.lists(st.floats(-1e6, 1e6)),
    robust=st.booleans(),
    heads=st.integers(0, 2**40),
)
def test_toml_round_trip(
    name: str, resolution: float | None, shells: list[float], robust: bool, heads: int
) -> None:
    made = Outer(
        name=name,
        resolution=resolution,
        shells=tuple(shells),
        robust=robust,
        inner=Inner(heads=heads),
    )
    assert config.from_mapping(Outer, tomllib.loads(config.dumps(made))) == made


def test_free_tables_and_unset_values() -> None:
    mapping = {"name": "a", "weights": {"b": 1}, "notes": {"c": [1, "x"]}, "resolution": None}
    made = config.from_mapping(Outer, mapping)
    assert (made.weights, made.notes, made.resolution) == ({"b": 1.0}, {"c": [1, "x"]}, None)


def test_an_integer_is_a_float_but_a_bool_is_no_integer() -> None:
    rate = config.from_mapping(Inner, {"rate": 1}).rate
    assert rate == 1.0
    assert isinstance(rate, float)
    with pytest.raises(ConfigError, match="heads must be of type int, found True"):
        config.from_mapping(Inner, {"heads": True})


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"nane": "a"}, r"unknown configuration key nane; did you mean name\?"),
        (
            {"name": "a", "inner": {"head": 1}},
            r"configuration key inner\.head; did you mean inner\.heads",
        ),
        ({"name": "a", "zzz": 1}, "unknown configuration key zzz; known: name, resolution"),
        ({"name": 3}, "name must be of type str, found 3"),
        ({"name": "a", "inner": 3}, "inner must be a table, found 3"),
        ({"name": "a", "weights": 3}, "weights must be a table, found 3"),
        ({"name": "a", "weights": {"b": "x"}}, r"weights\.b must be of type float, found 'x'"),
        ({"name": "a", "shells": 3}, "shells must be an array, found 3"),
        ({"name": "a", "shells": ["x"]}, r"shells\[\] must be of type float, found 'x'"),
        ({}, "incomplete configuration Outer: .*name"),
    ],
)
def test_errors_name_the_key(mapping: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.from_mapping(Outer, mapping)


def test_a_command_line_wins_over_the_file_where_it_says_something(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('name = "file"\nresolution = 8.0\n')
    said = config.given_or_default(Outer, path, {"name": None, "resolution": 4.0})
    assert (said.name, said.resolution) == ("file", 4.0)
    assert config.given_or_default(Inner, None, {}) == Inner()


def test_files_are_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("name = 'a'\nhead = 1\n")
    with pytest.raises(ConfigError, match=r"x\.toml: unknown configuration key head"):
        config.load(Outer, path)
    path.write_text("name = \n")
    with pytest.raises(ConfigError, match=r"x\.toml is not a readable TOML file"):
        config.load(Outer, path)
    path.write_bytes(b"name = '\xff'\n")
    with pytest.raises(ConfigError, match=r"x\.toml is not a readable TOML file"):
        config.load(Outer, path)


def test_unset_keys_are_left_out_of_the_file() -> None:
    assert "resolution" not in config.dumps(Outer(name="a"))
    assert "rate = 0.001" in config.dumps(Outer(name="a"))


@pytest.mark.parametrize("value", [2**63, -(2**63), 10**400])
def test_whole_numbers_of_more_than_64_bits_are_refused(value):
    with pytest.raises(ConfigError, match="more than 64 bits"):
        config.from_mapping(_Numbers, {"whole": value})
    with pytest.raises(ConfigError, match="more than 64 bits"):
        config.from_mapping(_Numbers, {"real": value})


@dataclass(frozen=True)
class _Numbers:
    whole: int = 0
    real: float = 0.0
    seed: DataSeed = 0


def test_the_seed_of_data_has_128_bits_and_no_more():
    for seed in (0, 2**63, 2**128 - 1):
        made = config.from_mapping(_Numbers, {"seed": seed})
        assert made.seed == seed
        assert config.from_mapping(_Numbers, tomllib.loads(config.dumps(made))) == made
    for seed in (2**128, 10**400):
        with pytest.raises(ConfigError, match="seed is a whole number of more than 128 bits"):
            config.from_mapping(_Numbers, {"seed": seed})
    with pytest.raises(ConfigError, match="seed is -1; expected 0 to 340,282,366"):
        config.from_mapping(_Numbers, {"seed": -1})


@dataclass(frozen=True, kw_only=True)
class _Renamed(Settings, table="search", former={"again": "wide"}):
    wide: float = 1.0


@dataclass(frozen=True, kw_only=True)
class _Around(Settings):
    search: _Renamed = field(default_factory=_Renamed)


def test_a_setting_is_taken_under_its_old_name_with_a_notice():
    with pytest.warns(RenamedWarning, match=r"search\.again is called search\.wide now"):
        found = config.from_mapping(_Around, {"search": {"again": 2.0}})
    assert found.search.wide == 2
    assert "again" not in config.dumps(found)


def test_a_setting_under_both_names_is_refused():
    both = {"search": {"again": 2.0, "wide": 3.0}}
    with pytest.raises(ConfigError, match=r"search\.again and search\.wide are given"):
        config.from_mapping(_Around, both)
