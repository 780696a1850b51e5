"""What a method is to the benchmark, and how one is registered."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.task import Task

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a method: it names directories and files


@dataclass(frozen=True, kw_only=True)
class Method:
    """From patterns to a result: ``intensity.h5``, ``poses.h5`` and ``result.json``.

    ``reconstruct`` gets the task, the pattern file, the directory to fill and the method's seed.
    ``section``: the table of the task that holds its settings, empty if it has none. ``missing``:
    why it cannot run on this machine, empty if it can. ``by_name``: it runs only where it is named.

    Of a plug-in (:mod:`benchmarks.methods.plugin`): ``completed`` returns the task with the
    method's settings checked and in full, ``broken`` why it cannot be used at all, ``versions``
    those of what made the result, by the name of the distribution.

    Limits of what the benchmark spends on its own tasks, None and empty for none: ``most_patterns``
    of a task, ``most_seeds``, and ``tasks``, the only ones (:mod:`benchmarks.limits`).
    """

    name: str
    reconstruct: Callable[[Task, Path, Path, int], None]
    section: str = ""
    missing: Callable[[Task], str] = lambda task: ""
    by_name: bool = False
    completed: Callable[[Task], Task] = lambda task: task
    broken: Callable[[], str] = lambda: ""
    versions: Callable[[], dict[str, str]] = lambda: {}
    most_patterns: int | None = None
    most_seeds: int | None = None
    tasks: tuple[str, ...] = ()


METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Make a method known to the benchmark under its name."""
    METHODS[method.name] = method
