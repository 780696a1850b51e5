"""The methods of the benchmark: each file here registers one, and a new one is a new file.

Those of other packages are registered by :mod:`benchmarks.methods.plugin`.
"""

from collections.abc import Sequence

from benchmarks.discovery import import_modules
from benchmarks.methods.registry import METHODS, Method, register
from benchmarks.task import Task
from xraisim.console import say
from xraisim.core.errors import ConfigError, did_you_mean

__all__ = ["METHODS", "Method", "completed", "find_method", "installed", "register"]

# The order in which they run; whatever else is here comes after.
import_modules(
    __name__,
    first=("xrai", "xrai_amortised", "xrai_paper", "emc", "dragonfly", "oracle", "floor"),
)


def installed(tasks: Sequence[Task]) -> list[str]:
    """Return the methods that can run here on any of the tasks: those of a run that names none."""
    found = []
    for name, method in METHODS.items():
        if why := method.broken():
            say(why, head=f"{name} is left out:", style="yellow")
        elif not method.by_name and not all(method.missing(task) for task in tasks):
            found.append(name)
    return found


def completed(task: Task, method: str) -> Task:
    """Return the task with the method's settings in full.

    Raises :class:`ConfigError` for settings of a plug-in that it does not know, and for those of a
    method of ours that are not in its own table.
    """
    for name in task.methods:
        section = METHODS[name].section if name in METHODS else ""
        if section not in ("", "methods"):
            raise ConfigError(
                f"task {task.name}: [methods.{name}] is for plug-ins; the settings of {name} are "
                f"in [{section}]"
            )
    try:
        return METHODS[method].completed(task)
    except ConfigError as error:
        raise ConfigError(f"task {task.name}: {error}") from error


def say_unknown_tables(tasks: Sequence[Task]) -> None:
    """Tell of settings in a task for which no method is installed."""
    for task in tasks:
        for name in task.methods:
            if name not in METHODS:
                hint = did_you_mean(name, METHODS)
                say(
                    f"no method of that name is here; {hint}", head=f"[methods.{name}] is not used:"
                )


def find_method(name: str) -> str:
    """Return the name if it is a method; raises :class:`ConfigError` with the nearest one."""
    if name in METHODS:
        return name
    hint = did_you_mean(name, METHODS)
    raise ConfigError(f"unknown method {name!r}; {hint}")
