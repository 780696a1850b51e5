"""The methods a benchmark can run: each gets the pattern file and a directory for its results."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines import emc
from baselines.external import dragonfly
from benchmarks import oracle
from benchmarks.task import Task
from xrai import train as xrai
from xraisim.console import progress
from xraisim.core.errors import ConfigError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Method:
    """From patterns to ``intensity.h5`` and ``poses.h5``.

    ``section``: the task's settings it reads. ``reconstruct`` gets those, the pattern file, the run
    directory and the seed. ``missing``: why the method cannot run on this machine,
    empty if it can.
    """

    section: str
    reconstruct: Callable[[Task, Path, Path, int], None]
    missing: Callable[[Task], str] = lambda task: ""


def _xrai(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    xrai.reconstruct(patterns, directory, dataclasses.replace(task.xrai, seed=seed))


def _emc(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    settings = dataclasses.replace(task.emc, seed=seed)
    first, *further = (level.iterations for level in settings.levels)
    with progress("EMC iterations", settings.restarts * first + sum(further)) as advance:
        emc.reconstruct(patterns, directory, settings, progress=advance)


def _dragonfly(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    settings = dataclasses.replace(task.dragonfly, seed=seed)
    with progress("Dragonfly iterations", settings.iterations) as advance:
        dragonfly.reconstruct(patterns, directory, settings, progress=advance)


def _oracle(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    oracle.oracle(patterns, directory, task.merge)


def _floor(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    oracle.floor(patterns, directory, task.merge, seed)


METHODS = {
    "xrai": Method(section="xrai", reconstruct=_xrai),
    "emc": Method(section="emc", reconstruct=_emc),
    "dragonfly": Method(
        section="dragonfly",
        reconstruct=_dragonfly,
        missing=lambda task: dragonfly.why_not_installed(task.dragonfly.programs),
    ),
    "oracle": Method(section="merge", reconstruct=_oracle),
    "floor": Method(section="merge", reconstruct=_floor),
}


def installed(tasks: Sequence[Task]) -> list[str]:
    """Return the methods that can run here on any of the tasks: those of a run that names none."""
    return [
        name for name, method in METHODS.items() if not all(method.missing(task) for task in tasks)
    ]


def find_method(name: str) -> str:
    """Return the name if it is a method; raises :class:`ConfigError` with the nearest one."""
    if name in METHODS:
        return name
    hint = did_you_mean(name, METHODS)
    raise ConfigError(f"unknown method {name!r}; {hint}")
