"""What is timed: one small function per compiled loop, registered under :func:`timed`.

Such a function takes a size, makes seeded inputs, and returns a :class:`Pair`: what calls the loop
by its public front, and its plain form. The size is stated with the registration: one that is
timed, and a tiny one at which the tests hold the two forms together.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ROOMS = ("core", "simulator", "emc", "phasing")

#: loops that the code calls and no case times, with the reason
NOT_TIMED: dict[str, str] = {}

CASES: dict[str, "Case"] = {}


def _as_it_is(found: Any) -> Any:
    return found


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A loop's front and its plain form, both of the same arguments.

    ``reference`` is None where there is no plain form. ``arguments`` makes them anew for every
    call, which is not timed: some forms work in place. ``read`` turns what ``fast`` returns into
    what ``reference`` returns; ``tolerance``: how far the two may be apart, relative to the largest
    value.
    """

    fast: Callable[..., Any]
    reference: Callable[..., Any] | None
    arguments: Callable[[], tuple[Any, ...]] = tuple
    read: Callable[[Any], Any] = _as_it_is
    tolerance: float = 1e-4


@dataclass(frozen=True, kw_only=True)
class Case:
    """A timed loop: ``loops`` are the full names of those that its front runs."""

    name: str
    loops: tuple[str, ...]
    make: Callable[[int], Pair]
    size: int
    tiny: int

    def missing(self) -> list[str]:
        """Return those of the loops that the installed code does not have."""
        return [loop for loop in self.loops if not _exists(loop)]


def timed(
    *loops: str, size: int, tiny: int
) -> Callable[[Callable[[int], Pair]], Callable[[int], Pair]]:
    """Register a function of a size as the case of its name."""

    def register(make: Callable[[int], Pair]) -> Callable[[int], Pair]:
        name = make.__name__
        CASES[name] = Case(name=name, loops=loops, make=make, size=size, tiny=tiny)
        return make

    return register


def load() -> dict[str, Case]:
    """Return all cases, room after room."""
    for room in ROOMS:
        importlib.import_module(f"{__package__}.{room}")
    return CASES


def _exists(loop: str) -> bool:
    module, _, name = loop.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return False
