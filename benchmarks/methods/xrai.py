"""X-RAI."""

import dataclasses
from pathlib import Path

from benchmarks.methods.registry import Method, register
from benchmarks.task import Task
from xrai import train


def reconstruct(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Train on the patterns."""
    train.reconstruct(patterns, directory, dataclasses.replace(task.xrai, seed=seed))


register(Method(name="xrai", section="xrai", reconstruct=reconstruct))
