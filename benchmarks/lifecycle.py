"""Which rows count: tasks and rows are proposed, live, superseded or withdrawn.

A row has the status that its record states. One that counts is superseded without anybody saying so
when its task has a newer version, and shares the fate of a task that does not count any more.
"""

from collections import Counter
from collections.abc import Iterable
from functools import cache

from benchmarks.record import LIVE, PROPOSED, SUPERSEDED, Record
from benchmarks.task import Task, load_task, task_names

COUNTED = (PROPOSED, LIVE)
BLIND = "-blind"  # behind the name of a task: rows of blind data, which are other patterns


def standing(record: Record) -> tuple[str, str]:
    """Return the status of a row and why, the reason empty where none is needed."""
    if record.status not in COUNTED:
        return record.status, record.status_reason
    task = _embedded(record.task.removesuffix(BLIND).partition("@")[0])
    if task is None:
        return record.status, record.status_reason
    if task.status not in COUNTED:
        return task.status, reason(task)
    if record.task_version < task.version:
        why = f"made with version {record.task_version} of the task, which is {task.version} now"
        return SUPERSEDED, why
    return (task.status if task.status == PROPOSED else record.status), record.status_reason


def counts(record: Record) -> bool:
    """Whether tables and pages show a row."""
    return standing(record)[0] in COUNTED


def left_out(records: Iterable[Record]) -> list[str]:
    """Return the line that says how many records tables leave out, nothing if they leave none."""
    found = Counter(status for status, _ in map(standing, records) if status not in COUNTED)
    if not found:
        return []
    parts = ", ".join(f"{number} {status}" for status, number in sorted(found.items()))
    return [f"Left out: {parts} (`xrai-bench table --format csv` has them, with their status)."]


def notice(task: Task) -> str:
    """Return what to say before a task is run, empty for one that is live."""
    if task.status == LIVE:
        return ""
    effect = "" if task.status in COUNTED else "; its rows are not shown"
    return f"task {task.name} is {task.status}: {reason(task)}{effect}"


def reason(task: Task) -> str:
    """Return why a task has the status that it has."""
    by = f"by {task.superseded_by}" if task.superseded_by else ""
    return ", ".join(filter(None, (by, task.status_reason))) or "no reason is stated"


@cache
def _embedded(name: str) -> Task | None:
    return load_task(name) if name in task_names() else None
