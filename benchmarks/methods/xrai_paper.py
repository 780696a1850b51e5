"""X-RAI as published: mode ``paper``, with the settings of ``[xrai]`` otherwise.

It reads every pattern as often as ``[xrai.end_to_end]`` says, also where the task's are read once.
"""

import dataclasses
from pathlib import Path

from benchmarks.methods.registry import Method, register
from benchmarks.task import Task
from xrai import train


def reconstruct(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Train encoder and implicit decoder end to end."""
    settings = dataclasses.replace(task.xrai, mode="paper", single_pass=False, seed=seed)
    train.reconstruct(patterns, directory, settings)


register(Method(name="xrai-paper", section="xrai", reconstruct=reconstruct, by_name=True))
