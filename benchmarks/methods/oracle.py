"""The ceiling: the single hits of the scored species, merged at their true orientations."""

from pathlib import Path

from benchmarks.merge import MergeConfig, merge
from benchmarks.methods.registry import Method, register
from benchmarks.task import Task
from benchmarks.truth import poses_to_merge
from xraisim.files.truth import read_truth, truth_path


def oracle(patterns: Path, directory: Path, config: MergeConfig, species: str = "") -> None:
    """Merge at the true orientations what shows a particle of ``species`` (the main one) alone."""
    truth = poses_to_merge(read_truth(truth_path(patterns)), species)
    merge(patterns, directory, config, truth, config.symmetry, "oracle")


def reconstruct(task: Task, patterns: Path, directory: Path, seed: int) -> None:
    """Merge; nothing is drawn, so the seed makes no difference."""
    oracle(patterns, directory, task.merge, task.score.species)


register(Method(name="oracle", section="merge", reconstruct=reconstruct))
