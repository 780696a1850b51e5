"""The ceiling: patterns merged at their true orientations."""

from pathlib import Path

import torch

from benchmarks.merge import MergeConfig, merge
from benchmarks.methods.registry import Method, register
from benchmarks.task import Task
from xraisim.files.truth import read_truth, truth_path


def oracle(patterns: Path, directory: Path, config: MergeConfig) -> None:
    """Merge at the true orientations."""
    truth = torch.from_numpy(read_truth(truth_path(patterns)).orientations)
    merge(patterns, directory, config, truth, config.symmetry, "oracle")


def reconstruct(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Merge; nothing is drawn, so the seed makes no difference."""
    oracle(patterns, directory, task.merge)


register(Method(name="oracle", section="merge", reconstruct=reconstruct))
