"""Run methods on tasks: simulate once, then each method in a fresh process, one after another.

A work directory holds ``<task>/data-<seed>`` (patterns and truth; the seed of the data is the
task's, the same for every run) and ``<task>/<method>-<seed>`` (run files, density, ``record.json``,
``slices.npz``; the seed is the method's). A part of a task is a task of its own here:
``quick@0.1``. Each carries the hash of the configuration that made it; what is finished under the
same hash is used again.
"""

import dataclasses
import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import lifecycle, photons, record, worker
from benchmarks.child import in_child
from benchmarks.limits import seeds_of, why_not_run
from benchmarks.methods import METHODS, completed, say_unknown_tables
from benchmarks.record import RECORD_FILE, Record
from benchmarks.shares import WHOLE, Share
from benchmarks.task import Task
from benchmarks.worker import Dataset, Failure, Job
from xraisim.console import say
from xraisim.core import config
from xraisim.core.errors import FormatError, UserError, reading
from xraisim.core.json_text import to_json
from xraisim.files.atomic import write_text
from xraisim.files.lock import in_turn, new_directory, only_writer

_DATASET_FILE = "dataset.json"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A run to be made: ``task`` with the method's settings in full, ``directory`` for its files.

    ``budget_s``: as of :class:`benchmarks.worker.Job`; ``not_run``: why it is left out, if it is.
    """

    task: Task
    method: str
    seed: int
    directory: Path
    config_hash: str
    budget_s: float | None
    not_run: str

    def job(self, data: Dataset) -> Job:
        """Return what is given to a process."""
        own = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        del own["not_run"]
        return Job(**own, dataset=data)


def plan(
    tasks: Sequence[Task],
    methods: Sequence[str],
    seeds: Sequence[int] | None,
    out: Path,
    budget_s: float | None = None,
    share: Share = WHOLE,
) -> list[Planned]:
    """Return the runs of every method on every task, seed after seed, in order.

    ``seeds`` are the methods', None for as many as each task wants; a run that is left out is
    listed once. ``budget_s``: of each reconstruction, infinite for any time; None: as the task has
    it. Only those of this process's ``share``. Raises :class:`ConfigError` for settings that a
    method does not know.
    """
    whole = [{method: completed(task, method) for method in methods} for task in tasks]
    planned = [one for by in whole for one in _planned(by, seeds, out, budget_s)]
    return share.of(planned, lambda one: (one.method, one.task.name))


def _planned(
    completed_by: Mapping[str, Task],
    seeds: Sequence[int] | None,
    out: Path,
    budget_s: float | None,
) -> Iterator[Planned]:
    """Yield the runs on one task, which each method has with its own settings in full."""
    reasons = {method: why_not_run(own, method) for method, own in completed_by.items()}
    chosen = {
        method: seeds_of(own, method, seeds)[: 1 if reasons[method] else None]
        for method, own in completed_by.items()
    }
    for seed in dict.fromkeys(seed for mine in chosen.values() for seed in mine):
        for method, own in completed_by.items():
            if seed not in chosen[method]:
                continue
            limit = own.budget.seconds if budget_s is None else budget_s
            limit = limit if limit is not None and math.isfinite(limit) else None
            yield Planned(
                task=own, method=method, seed=seed, not_run=reasons[method], budget_s=limit,
                directory=run_directory(out, own.name, method, seed),
                config_hash=_hash(_settings(own, method, limit), seed),
            )  # fmt: skip


def run(
    tasks: Sequence[Task],
    methods: Sequence[str],
    seeds: Sequence[int] | None,
    out: Path,
    *,
    budget_s: float | None = None,
    fresh: bool = False,
    told: Callable[[Record], None] = lambda record: None,
    share: Share = WHOLE,
) -> list[Record]:
    """Run every method on every task with every seed; a failed run becomes a record with an error.

    What is run, with which ``seeds``, ``budget_s`` and ``share``, is :func:`plan`; a task's
    patterns are the same for all. ``told`` is called with each record. Raises as that, and
    ``OSError`` where the work directory cannot be written.
    """
    planned = plan(tasks, methods, seeds, out, budget_s, share)
    say_unknown_tables(tasks)
    for task in tasks:
        if said := lifecycle.notice(task):
            say(said, head="notice:")
    with (
        new_directory(out, shared=not share.is_whole),
        only_writer(share.held(out), wanted=not share.is_whole),
    ):
        return _run_all(tasks, planned, out, fresh, told)


def _run_all(
    tasks: Sequence[Task],
    planned: Sequence[Planned],
    out: Path,
    fresh: bool,
    told: Callable[[Record], None],
) -> list[Record]:
    found: list[Record] = []
    for task in tasks:
        mine = [one for one in planned if one.task.name == task.name]
        if not mine:
            continue
        wanted = any(not one.not_run for one in mine)  # patterns of millions are not made in vain
        data = dataset(task, out, fresh=fresh) if wanted else Dataset.unmade(task)
        for one in mine:
            job = one.job(data)
            head = f"{task.name} · {job.method} · seed {job.seed}"
            say(f" ({len(found) + 1} of {len(planned)})", head=head)
            found.append(
                _beyond(job, one.not_run)
                or _unusable(job)
                or _finished(job, fresh)
                or _not_installed(job)
                or _run(job)
            )
            told(found[-1])
    return found


def run_directory(out: Path, task: str, method: str, seed: int) -> Path:
    """Return where the files of a run are within a work directory."""
    return out / task / f"{method}-{seed}"


def _settings(task: Task, method: str, budget_s: float | None = None) -> dict[str, Any]:
    """Return what the result of a method on a task depends on, besides the seed."""
    whole = config.to_mapping(task)
    read = ("simulate", "phase", "score", METHODS[method].section)
    settings = {key: whole[key] for key in read if key} | {"method": method}
    settings |= {} if budget_s is None else {"budget_s": budget_s}
    versions = METHODS[method].versions()
    return settings | ({"versions": versions} if versions else {})


def _hash(settings: dict[str, Any], seed: int) -> str:
    text = to_json([settings, seed], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_of(task: Task, seed: int) -> str:
    """Return the hash of what the score of a result depends on that was not made here."""
    whole = config.to_mapping(task)
    return _hash({key: whole[key] for key in ("simulate", "phase", "score")}, seed)


def dataset(task: Task, out: Path, *, fresh: bool = False) -> Dataset:
    """Return the simulated patterns of a task in a work directory, made unless they are there."""
    return _dataset(task, out / task.name / f"data-{task.simulate.seed}", fresh)


def _dataset(task: Task, directory: Path, fresh: bool) -> Dataset:
    """Return the simulated patterns of a task, made now unless they are there.

    Photons that are not those that the task states are told: another processor may have rounded an
    expected value otherwise.
    """
    waiting = f"another process makes the patterns of {task.name}; waiting for it"
    with in_turn(directory, lambda: say(waiting)):
        made = _made(task, directory, fresh)
    if task.photons_agree(made.photons_sha256) is False:
        say(
            f"the patterns of {task.name} are not those that its version {task.version} states: "
            f"their photons have the hash {made.photons_sha256}, expected {task.photons_sha256};"
            " the records say so",
            head="notice:",
        )
    return made


def _made(task: Task, directory: Path, fresh: bool) -> Dataset:
    simulate = config.to_mapping(task)["simulate"]
    config_hash = _hash(simulate, task.simulate.seed)
    note = directory / _DATASET_FILE
    if not fresh and note.exists():
        with reading(note, "note of a data set", "--fresh makes it anew"):
            known = dict(json.loads(note.read_text()))
        made_of = known.get("config_hash"), known.get("task_version", 1)
        if made_of == (config_hash, task.version):
            say(f"patterns of {task.name}: used again from {directory}")
            if not {"photons_sha256", "photons_beyond"} <= known.keys():  # of an earlier version
                known |= dataclasses.asdict(photons.count_photons(directory / known["patterns"]))
                write_text(note, to_json(known))
            return Dataset.from_note(directory, known)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    made = worker.simulate(task, directory)
    told = {"config_hash": config_hash, "task_version": task.version}
    write_text(note, to_json(made.note() | told))
    return made


def _finished(job: Job, fresh: bool) -> Record | None:
    """Return the record of an earlier run with the same configuration, if it finished."""
    known = None if fresh else earlier(job)
    if known is None or known.photons_sha256 not in ("", job.dataset.photons_sha256):
        return None
    if known.error and not known.error.startswith(record.OVER_BUDGET):
        return None
    say(f"used again from {job.directory}, made {known.date} (--fresh runs it anew)")
    return known


def earlier(asked: Planned | Job) -> Record | None:
    """Return the record of an earlier run with the same configuration, one that failed too."""
    path = asked.directory / RECORD_FILE
    if not path.exists():
        return None
    try:
        known = record.read(path)
    except FormatError:  # of another version: as good as none
        return None
    told = known.config_hash, known.data_seed, known.task_version
    same = told == (asked.config_hash, asked.task.simulate.seed, asked.task.version)
    return known if same else None


def _beyond(job: Job, reason: str) -> Record | None:
    """Return the record of a run that is left out; it is not kept."""
    if not reason:
        return None
    say(reason)
    return worker.failed_record(job, reason, 0.0)


def _unusable(job: Job) -> Record | None:
    """Return the record of a method whose plug-in is broken: a failure; it is not kept."""
    reason = METHODS[job.method].broken()
    if not reason:
        return None
    say(reason, head=f"{job.method} failed:", style="red")
    return worker.failed_record(job, reason, 0.0)


def _not_installed(job: Job) -> Record | None:
    """Return a record that says so where the method is not on this machine; it is not kept."""
    reason = METHODS[job.method].missing(job.task)
    if not reason:
        return None
    say(f"{job.method} is not installed: {reason}")
    return worker.failed_record(job, f"{record.NOT_INSTALLED}: {reason}", 0.0)


def _run(job: Job) -> Record:
    """Run a job in a process of its own, which writes its record; write that of a failure."""
    shutil.rmtree(job.directory, ignore_errors=True)
    job.directory.mkdir(parents=True)
    started = time.monotonic()
    outcome = in_child(job)
    if isinstance(outcome, Failure):
        if outcome.unwritable:
            raise UserError(f"cannot write in {job.directory}: {outcome.message}")
        say(outcome.message, head=f"{job.method} failed:", style="red")
        outcome = worker.failed_record(job, outcome.message, time.monotonic() - started)
        record.write(job.directory / RECORD_FILE, outcome)
    return outcome


def keep(records: Iterable[Record], directory: Path) -> None:
    """Copy records into a directory of records, one file per task, method and seed.

    A method that is not on this machine leaves none, so that a record of another stays; and one
    that is not run here leaves one only where there is none.
    """
    for one in records:
        path = directory / record.file_name(one)
        if not one.not_installed and not (one.not_run and path.exists()):
            record.write(path, one)


def summary(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return records as plain data for ``--json``: the figures, no curves and no configuration."""
    left_out = {"curves", "trajectories", "reliability", "config"}
    return [
        {key: value for key, value in dataclasses.asdict(one).items() if key not in left_out}
        for one in records
    ]
