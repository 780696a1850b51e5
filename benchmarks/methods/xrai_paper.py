"""X-RAI as published: mode ``paper``, with the settings of ``[xrai]`` otherwise."""

import dataclasses
from pathlib import Path

from benchmarks.methods.registry import Method, register
from benchmarks.task import Task
from xrai import train


def reconstruct(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Train encoder and implicit decoder end to end."""
    train.reconstruct(patterns, directory, dataclasses.replace(task.xrai, mode="paper", seed=seed))


register(Method(name="xrai-paper", section="xrai", reconstruct=reconstruct, by_name=True))
