"""Frozen dataclass configurations, read from and written to TOML.

A configuration class sits beside the code that uses it. Keys are checked against it: an unknown key
or a value of the wrong type is an error that names the nearest known key or the expected type. Its
settings' ranges are declared there too (:mod:`xraisim.core.settings`).
"""

import dataclasses
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from xraisim.core.errors import ConfigError, did_you_mean, reads
from xraisim.core.renamed import renewed
from xraisim.core.settings import Range, check_ranges, rules

Config = TypeVar("Config")


def load(cls: type[Config], path: Path | str) -> Config:
    """Read a TOML file into ``cls``; raises :class:`ConfigError` with the file's name."""
    mapping = read_toml(path)
    try:
        return from_mapping(cls, mapping)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


@reads("TOML file", "see the line it names", ConfigError)
def read_toml(path: Path | str) -> dict[str, Any]:
    """Return the tables of a TOML file; raises :class:`ConfigError` if it is none."""
    return tomllib.loads(Path(path).read_text(encoding="utf-8"))


def given_or_default(cls: type[Config], path: Path | None, given: Mapping[str, Any]) -> Config:
    """Return the settings of a TOML file, or the defaults, with what a command line says.

    What is None in ``given`` was not said.
    """
    settings = cls() if path is None else load(cls, path)
    said = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(settings, **said)  # type: ignore[type-var]


def from_mapping(cls: type[Config], mapping: dict[str, Any], prefix: str = "") -> Config:
    """Build ``cls`` from a nested mapping; missing keys take their defaults."""
    hints = get_type_hints(cls, include_extras=True)
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    values = {}
    for key, value in renewed(mapping, getattr(cls, "former", {}), prefix).items():
        if key not in known:
            hint = did_you_mean(key, known, prefix)
            raise ConfigError(f"unknown configuration key {prefix}{key}; {hint}")
        values[key] = _convert(hints[key], value, prefix + key)
    check_ranges(cls, values, prefix)
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"incomplete configuration {prefix or cls.__name__}: {error}") from error


def _convert(expected: Any, value: Any, name: str) -> Any:
    """Check ``value`` against a type hint; nested tables become dataclasses, arrays tuples."""
    bits, expected = _bits(expected)
    if isinstance(value, int) and abs(value) >= 2**bits:
        raise ConfigError(f"{name} is a whole number of more than {max(bits, 64)} bits")
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        if not isinstance(value, dict):
            raise ConfigError(f"{name} must be a table, found {value!r}")
        return from_mapping(expected, value, f"{name}.")
    origin, arguments = get_origin(expected), get_args(expected)
    if expected is Any or (value is None and type(None) in arguments):
        return value
    if origin in (Union, types.UnionType):
        chosen = [a for a in arguments if a is not type(None)]
        return _convert(chosen[0], value, name)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{name} must be an array, found {value!r}")
        return tuple(_convert(arguments[0], item, f"{name}[]") for item in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{name} must be a table, found {value!r}")
        return {key: _convert(arguments[1], item, f"{name}.{key}") for key, item in value.items()}
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is None and isinstance(expected, type):
        right = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
        if not right:
            raise ConfigError(f"{name} must be of type {expected.__name__}, found {value!r}")
    return value


def _bits(expected: Any) -> tuple[int, Any]:
    """Return how many bits a whole number has, as TOML has it or more, and the hint without it."""
    if get_origin(expected) is not Annotated:
        return 63, expected
    bits = 63
    for rule in rules(expected):
        if isinstance(rule, Range) and isinstance(rule.most, int):
            bits = max(bits, rule.most.bit_length())
    return bits, get_args(expected)[0]


def to_mapping(config: Any) -> dict[str, Any]:
    """Return the configuration in full as a nested mapping; unset (None) keys are left out."""
    return _without_none(dataclasses.asdict(config))


def _without_none(mapping: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in mapping.items()
        if value is not None
    }


def dumps(config: Any) -> str:
    """Return the configuration in full as TOML text."""
    return tomli_w.dumps(to_mapping(config))
