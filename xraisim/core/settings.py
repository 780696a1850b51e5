"""Ranges of settings: declared beside the field, checked whenever a configuration is built.

    class StartConfig(Settings, table="start"):
        rotations: Count = 3000
        growth: Annotated[float, Range(least=1, most=100)] = 1.03

No number may be NaN, and none infinite unless ``most`` says so.
"""

import math
import numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

from xraisim.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from ``least`` to ``most``, or only those ``above`` and ``below``."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            return False
        try:
            finite = math.isfinite(value)
        except OverflowError:
            return False
        number = value if isinstance(value, int) else float(value)  # a float is no exact seed
        return (
            (finite or number == self.most)
            and (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{_number(self.least)} to {_number(self.most)}"
        bounds = {"at least": self.least, "above": self.above, "below": self.below}
        said = [f"{name} {_number(at)}" for name, at in bounds.items() if at is not None]
        if self.most is not None and math.isfinite(self.most):
            said.append(f"at most {_number(self.most)}")
        return " and ".join(said) or "a finite number"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


class OneOf:
    """Texts of which a setting is one."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def __contains__(self, value: Any) -> bool:
        return value in self.choices

    def __str__(self) -> str:
        return f"one of {', '.join(self.choices)}"


Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(least=0)]
Share = Annotated[float, Range(least=0, most=1)]
Count = Annotated[int, Range(least=1, most=10**9)]
Whole = Annotated[int, Range(least=0, most=10**9)]
Seed = Annotated[int, Range(least=0, most=2**63 - 1)]
DataSeed = Annotated[int, Range(least=0, most=2**128 - 1)]  # that nobody can guess


class Settings:
    """Base of every configuration: a frozen dataclass whose values are in their ranges.

    ``table``: its place in the TOML file, by which messages name its settings; ``former``: what its
    settings were called in the release before (:mod:`xraisim.core.renamed`). What a value may be
    where others are given is for :meth:`check` to say.
    """

    _prefix: ClassVar[str] = ""
    former: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(
        cls, table: str = "", former: Mapping[str, str] | None = None, **rest: Any
    ) -> None:
        super().__init_subclass__(**rest)
        cls.former = former or {}
        cls._prefix = f"{table}." if table else ""

    def __post_init__(self) -> None:
        check_ranges(type(self), vars(self), self.place)
        self.check()

    @property
    def place(self) -> str:
        """What stands before a setting's name in a message."""
        return self._prefix

    def check(self) -> None:
        """Raise :class:`ConfigError` for settings that exclude each other."""


def require(holds: bool, name: str, value: object, expected: str) -> None:
    """Raise :class:`ConfigError` for a value that does not go with the others."""
    if not holds:
        raise ConfigError(f"{name} is {value}; expected {expected}")


def check_ranges(cls: type, values: Mapping[str, Any], prefix: str) -> None:
    """Raise :class:`ConfigError` for the first of the values that is not what ``cls`` allows."""
    hints = _hints(cls)
    for name, value in values.items():
        allowed = rules(hints[name])
        for one in _each(value) if allowed else ():
            if isinstance(one, float) and int in leaves(hints[name]):
                raise ConfigError(f"{prefix}{name} is {one!r}; expected a whole number")
            for rule in allowed:
                if one not in rule:
                    raise ConfigError(f"{prefix}{name} is {one!r}; expected {rule}")


def rules(hint: Any) -> list[Range | OneOf]:
    """Return what a type hint says of its numbers and texts, alone, optional or in a tuple."""
    stated = [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Range | OneOf)]
    return [*stated, *(rule for inner in get_args(hint) for rule in rules(inner))]


def leaves(hint: Any) -> set[Any]:
    """Return the types that a type hint is made of."""
    inner = get_args(hint)
    return {leaf for one in inner for leaf in leaves(one)} if inner else {hint}


def _each(value: Any) -> Iterator[Any]:
    """Yield a value, or what a tuple holds; nothing of what is not set."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _each(one)
    elif value is not None:
        yield value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)
