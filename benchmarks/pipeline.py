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
import multiprocessing
import shutil
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import photons, record, worker
from benchmarks.methods import METHODS, completed, say_unknown_tables
from benchmarks.record import RECORD_FILE, Record
from benchmarks.task import Task
from benchmarks.worker import Dataset, Failure, Job
from xraisim.console import say
from xraisim.core import config
from xraisim.core.errors import FormatError, UserError, reading
from xraisim.core.json_text import to_json
from xraisim.files.atomic import write_text
from xraisim.files.lock import new_directory

_DATASET_FILE = "dataset.json"
_CHILD_S = 1.5  # what a child that is told to stop may take; the parent has two seconds


def run(
    tasks: Sequence[Task],
    methods: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    *,
    fresh: bool = False,
) -> list[Record]:
    """Run every method on every task with every seed; a failed run becomes a record with an error.

    ``seeds`` are the methods'; a task's patterns are the same for all. Raises :class:`ConfigError`
    for settings that a method does not know, and ``OSError`` where the work directory cannot be
    written.
    """
    whole = [{method: completed(task, method) for method in methods} for task in tasks]
    say_unknown_tables(tasks)
    with new_directory(out):
        return _run_all(tasks, whole, seeds, out, fresh)


def _run_all(
    tasks: Sequence[Task],
    whole: Sequence[Mapping[str, Task]],
    seeds: Sequence[int],
    out: Path,
    fresh: bool,
) -> list[Record]:
    """Run all; ``whole``: each task by method, with the method's settings in full."""
    total, number = len(seeds) * sum(map(len, whole)), 0
    found = []
    for task, completed_by in zip(tasks, whole, strict=True):
        data = dataset(task, out, fresh=fresh)
        for seed in seeds:
            for method, own in completed_by.items():
                number += 1
                job = Job(
                    task=own, method=method, seed=seed, dataset=data,
                    directory=run_directory(out, task.name, method, seed),
                    config_hash=_hash(_settings(own, method), seed),
                )  # fmt: skip
                say(f" ({number} of {total})", head=f"{task.name} · {method} · seed {seed}")
                found.append(
                    _unusable(job) or _finished(job, fresh) or _not_installed(job) or _run(job)
                )
    return found


def run_directory(out: Path, task: str, method: str, seed: int) -> Path:
    """Return where the files of a run are within a work directory."""
    return out / task / f"{method}-{seed}"


def _settings(task: Task, method: str) -> dict[str, Any]:
    """Return what the result of a method on a task depends on, besides the seed."""
    whole = config.to_mapping(task)
    read = ("simulate", "phase", "score", METHODS[method].section)
    settings = {key: whole[key] for key in read if key} | {"method": method}
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
    path = job.directory / RECORD_FILE
    if fresh or not path.exists():
        return None
    try:
        known = record.read(path)
    except FormatError:  # of another version: as good as none
        return None
    told = known.config_hash, known.data_seed, known.task_version
    same = told == (job.config_hash, job.task.simulate.seed, job.task.version)
    if known.error or not same or known.photons_sha256 not in ("", job.dataset.photons_sha256):
        return None
    say(f"used again from {job.directory}, made {known.date} (--fresh runs it anew)")
    return known


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
    outcome = _in_child(job)
    if isinstance(outcome, Failure):
        if outcome.unwritable:
            raise UserError(f"cannot write in {job.directory}: {outcome.message}")
        say(outcome.message, head=f"{job.method} failed:", style="red")
        outcome = worker.failed_record(job, outcome.message, time.monotonic() - started)
        record.write(job.directory / RECORD_FILE, outcome)
    return outcome


def _in_child(job: Job) -> Record | Failure:
    """Return what a spawned child makes of the job; a child that dies is a failure too."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=worker.child_main, args=(job, sender))
    child.start()
    sender.close()  # so that the child's death closes the pipe
    try:
        return _receive(receiver, child)
    finally:
        if child.is_alive():
            child.terminate()
            child.join(_CHILD_S)
        if child.is_alive():
            child.kill()
        child.join()
        receiver.close()


def _receive(receiver: Connection, child: Any) -> Record | Failure:
    try:
        return receiver.recv()
    except EOFError:
        child.join()
    code = child.exitcode
    if code == -signal.SIGKILL:
        return Failure(message="killed by the system, most likely for lack of memory")
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Failure(message=f"its process ended with {how}")


def keep(records: Iterable[Record], directory: Path) -> None:
    """Copy records into a directory of records, one file per task, method and seed.

    A method that is not on this machine leaves none, so that a record of another stays.
    """
    for one in records:
        if not one.not_installed:
            record.write(directory / record.file_name(one), one)


def summary(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return records as plain data for ``--json``: the figures, no curves and no configuration."""
    left_out = {"curves", "trajectories", "reliability", "config"}
    return [
        {key: value for key, value in dataclasses.asdict(one).items() if key not in left_out}
        for one in records
    ]
