"""X-RAI in mode ``amortised``: no search, with the settings of ``[xrai]`` otherwise."""

import dataclasses
from pathlib import Path

from benchmarks.methods.registry import Method, register
from benchmarks.task import Task
from xrai import train


def reconstruct(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Train encoder and volume together; the encoder alone proposes poses."""
    settings = dataclasses.replace(task.xrai, mode="amortised", seed=seed)
    train.reconstruct(patterns, directory, settings)


register(Method(name="xrai-amortised", section="xrai", reconstruct=reconstruct, by_name=True))
