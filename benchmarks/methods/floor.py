"""The floor: patterns merged at random orientations."""

from pathlib import Path

from benchmarks.merge import merge
from benchmarks.methods.registry import Method, register
from benchmarks.task import Task
from xraisim.core import so3
from xraisim.core.random import generator
from xraisim.files.patterns import PatternReader


def reconstruct(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Draw an orientation for each pattern, and merge."""
    with PatternReader(patterns) as reader:
        count = reader.n_patterns
    poses = so3.haar(count, generator(seed, "floor"))
    merge(patterns, directory, task.merge, poses, "C1", "floor", seed)


register(Method(name="floor", section="merge", reconstruct=reconstruct))
