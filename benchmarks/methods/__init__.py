"""The methods of the benchmark: each file here registers one, and a new one is a new file."""

from collections.abc import Sequence

from benchmarks.discovery import import_modules
from benchmarks.methods.registry import METHODS, Method, register
from benchmarks.task import Task
from xraisim.core.errors import ConfigError, did_you_mean

__all__ = ["METHODS", "Method", "find_method", "installed", "register"]

# The order in which they run; whatever else is here comes after.
import_modules(__name__, first=("xrai", "xrai_paper", "emc", "dragonfly", "oracle", "floor"))


def installed(tasks: Sequence[Task]) -> list[str]:
    """Return the methods that can run here on any of the tasks: those of a run that names none."""
    return [
        name
        for name, method in METHODS.items()
        if not method.by_name and not all(method.missing(task) for task in tasks)
    ]


def find_method(name: str) -> str:
    """Return the name if it is a method; raises :class:`ConfigError` with the nearest one."""
    if name in METHODS:
        return name
    hint = did_you_mean(name, METHODS)
    raise ConfigError(f"unknown method {name!r}; {hint}")
