"""The benchmark: simulate, reconstruct with every method, phase, score, keep the leaderboard.

What is listed in ``__all__`` is public, and loaded when it is asked for.
"""

from typing import TYPE_CHECKING

from xraisim.public import lazy  # and xraisim before torch: it sets how threads wait

if TYPE_CHECKING:
    from benchmarks.dataframe import load as load
    from benchmarks.dataframe import load_curves as load_curves
    from benchmarks.dataframe import load_reliability as load_reliability
    from benchmarks.dataframe import load_trajectories as load_trajectories
    from benchmarks.dataframe import over_seeds as over_seeds
    from benchmarks.metrics.pose_error import pose_error as pose_error
    from benchmarks.pipeline import run as run
    from benchmarks.record import Record as Record
    from benchmarks.submission import score_result as score_result
    from benchmarks.task import Task as Task
    from benchmarks.task import load_task as load_task

__getattr__, __all__ = lazy(
    "benchmarks",
    {
        "Record": "benchmarks.record",
        "Task": "benchmarks.task",
        "load": "benchmarks.dataframe",
        "load_curves": "benchmarks.dataframe",
        "load_reliability": "benchmarks.dataframe",
        "load_task": "benchmarks.task",
        "load_trajectories": "benchmarks.dataframe",
        "over_seeds": "benchmarks.dataframe",
        "pose_error": "benchmarks.metrics.pose_error",
        "run": "benchmarks.pipeline",
        "score_result": "benchmarks.submission",
    },
)
