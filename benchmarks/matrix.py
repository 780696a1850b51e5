"""What is to be run, what of it is done and what is left: tasks by methods, each with its seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.table import Table

from benchmarks import pipeline
from benchmarks.pipeline import Planned
from benchmarks.record import NOT_INSTALLED, NOT_RUN, OVER_BUDGET, Record

DONE, FAILED, LEFT = "done", "failed", "to do"
ABSENT = (NOT_RUN, NOT_INSTALLED)  # states that are not counted
_NAMED = 6  # rows of the matrix that a line names
_Run = tuple[str, str, int]  # task, method, seed


@dataclass(kw_only=True)
class Matrix:
    """The state of every run that is planned, by task, method and seed, in order."""

    states: dict[_Run, str] = field(default_factory=dict)

    @classmethod
    def of(cls, planned: Iterable[Planned], *, fresh: bool = False) -> "Matrix":
        """Return the matrix of the runs as a work directory has them; ``fresh``: as if it had none.

        Whether the photons are still the same is looked at when a run is used again.
        """
        made = cls()
        for one in planned:
            known = None if fresh else pipeline.earlier(one)
            state = LEFT if known is None else _state(known)
            made.states[_key(one)] = NOT_RUN if one.not_run else state
        return made

    def note(self, record: Record) -> None:
        """Take in what a run that was planned came to."""
        self.states[_key(record)] = _state(record)

    def table(self) -> Table:
        """Return a row per task and a column per method: how many of the seeds are done."""
        tasks = dict.fromkeys(task for task, _, _ in self.states)
        methods = dict.fromkeys(method for _, method, _ in self.states)
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
        for name in ("seeds done", *methods):
            table.add_column(name)
        for task in tasks:
            table.add_row(task, *(self._cell(task, method) for method in methods))
        return table

    def _cell(self, task: str, method: str) -> str:
        mine = [state for key, state in self.states.items() if key[:2] == (task, method)]
        if absent := set(ABSENT) & set(mine):
            return absent.pop()
        failed = mine.count(FAILED)
        return f"{mine.count(DONE)} of {len(mine)}" + (f", {failed} failed" if failed else "")

    @property
    def complete(self) -> bool:
        """Whether nothing is left, and nothing failed."""
        return not {LEFT, FAILED} & set(self.states.values())

    def line(self) -> str:
        """Return how many runs are done and which are not."""
        run = [state for state in self.states.values() if state not in ABSENT]
        said = [f"{run.count(DONE)} of {len(run)} runs done"]
        said += [f"{name}: {self._named(state)}" for name, state in _LISTED if state in run]
        return "; ".join(said)

    def _named(self, state: str) -> str:
        seeds: dict[tuple[str, str], list[int]] = {}
        for (task, method, seed), found in self.states.items():
            if found == state:
                seeds.setdefault((task, method), []).append(seed)
        parts = [f"{task} {method} {_spans(mine)}" for (task, method), mine in seeds.items()]
        more = [f"and {len(parts) - _NAMED} more (--status)"] if len(parts) > _NAMED else []
        return ", ".join([*parts[:_NAMED], *more])


_LISTED = (("left", LEFT), ("failed", FAILED))


def _key(one: Planned | Record) -> _Run:
    task = one.task if isinstance(one.task, str) else one.task.name
    return task, one.method, one.seed


def _state(record: Record) -> str:
    """A run that its budget ended is done: the same budget ends it again."""
    if record.error and not record.failed:
        return NOT_RUN if record.not_run else NOT_INSTALLED
    return DONE if not record.error or record.error.startswith(OVER_BUDGET) else FAILED


def _spans(seeds: Sequence[int]) -> str:
    """Return seeds in words, those in a row by first and last."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' * (len(seeds) > 1)} {' and '.join(map(str, seeds))}"
