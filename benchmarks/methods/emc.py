"""Expand-maximize-compress."""

import dataclasses
from pathlib import Path

from baselines import emc
from benchmarks.methods.registry import Method, register
from benchmarks.task import Task
from xraisim.console import progress


def reconstruct(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Iterate level after level."""
    settings = dataclasses.replace(task.emc, seed=seed)
    first, *further = (level.iterations for level in settings.levels)
    with progress("EMC iterations", settings.restarts * first + sum(further)) as advance:
        emc.reconstruct(patterns, directory, settings, progress=advance)


# Its time grows with patterns × rotations: at 50,000 it takes hours.
register(Method(name="emc", section="emc", reconstruct=reconstruct, most_patterns=50_000))
