"""Dragonfly, other people's EMC, where it is installed."""

import dataclasses
from pathlib import Path

from baselines.external import dragonfly
from benchmarks.methods.registry import Method, register
from benchmarks.task import Task
from xraisim.console import progress


def reconstruct(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Run its programs on a copy of the patterns, and take over what they leave."""
    settings = dataclasses.replace(task.dragonfly, seed=seed)
    with progress("Dragonfly iterations", settings.iterations) as advance:
        dragonfly.reconstruct(patterns, directory, settings, progress=advance)


def missing(task: Task) -> str:
    """Return why its programs cannot run here, empty if they can."""
    return dragonfly.why_not_installed(task.dragonfly.programs)


register(
    Method(
        name="dragonfly",
        section="dragonfly",
        reconstruct=reconstruct,
        missing=missing,
        most_seeds=1,
        tasks=("quick", "smoke"),
    )
)
