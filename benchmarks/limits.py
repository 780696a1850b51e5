"""What the benchmark does not run: a method on its own tasks beyond the limits of the method.

They keep the matrix within days. A task of a user's own file is run with whatever is asked for.
"""

from collections.abc import Sequence

from benchmarks.methods.registry import METHODS
from benchmarks.record import NOT_RUN
from benchmarks.task import Task, task_names


def why_not_run(task: Task, method: str) -> str:
    """Return why a task is beyond what the method is run on, empty if it is not."""
    limits, patterns = METHODS[method], task.simulate.patterns
    if not _ships(task):
        return ""
    if limits.most_patterns is not None and patterns > limits.most_patterns:
        return (
            f"{NOT_RUN}: {method} is run on {limits.most_patterns:,} patterns at most, this task "
            f"has {patterns:,}"
        )
    if limits.tasks and task.name.partition("@")[0] not in limits.tasks:
        return f"{NOT_RUN}: {method} is run on {' and '.join(limits.tasks)} alone"
    return ""


def seeds_of(task: Task, method: str, seeds: Sequence[int] | None) -> list[int]:
    """Return the seeds with which a method is run: those given, or as many as the task wants.

    Of a method that is limited they are the first ones.
    """
    chosen = list(range(task.seeds) if seeds is None else seeds)
    return chosen[: METHODS[method].most_seeds] if _ships(task) else chosen


def _ships(task: Task) -> bool:
    """Whether it is a task of ours, or a part of one."""
    return task.name.partition("@")[0] in task_names()
