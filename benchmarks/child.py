"""One run in a process of its own: whatever happens to it, the others go on.

A budget is of the reconstruction alone. At its end the process gets SIGTERM, as from a scheduler: a
method that listens leaves a state from which it can go on, or a result, which is scored.
"""

import dataclasses
import multiprocessing
import signal
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import budget, worker
from benchmarks.record import Record
from benchmarks.worker import Failure, Job
from xraisim.console import say
from xraisim.files.result import is_finished

_STOP_S = 1.5  # what a child that is told to stop may take; the parent has two seconds


def in_child(job: Job) -> Record | Failure:
    """Return what a spawned child makes of the job; a child that dies is a failure too."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=worker.child_main, args=(job, sender))
    child.start()
    sender.close()  # so that the child's death closes the pipe
    try:
        outcome = _heard(receiver, child, job.budget_s)
    finally:
        _end(child, _STOP_S)
        receiver.close()
    return _of_what_it_left(job, outcome) if isinstance(outcome, float) else outcome


def _heard(receiver: Connection, child: Any, budget_s: float | None) -> Record | Failure | float:
    """Return what a child tells in the end, or the budget (s) that ended it."""
    while isinstance(heard := receive(receiver, child), str):
        begun = heard == worker.BEGUN
        if begun and budget_s is not None and not receiver.poll(budget_s):
            _end(child, budget.GRACE_S)
            return budget_s
    return heard


def _end(child: Any, wait_s: float) -> None:
    if child.is_alive():
        child.terminate()
        child.join(wait_s)
    if child.is_alive():
        child.kill()
    child.join()


def _of_what_it_left(job: Job, budget_s: float) -> Record | Failure:
    """Return what becomes of a run that its budget ended: its result is scored, if there is one."""
    message = budget.said(budget_s)
    if not is_finished(job.directory):
        return Failure(message=message)
    say(f"{message}; what it left is scored")
    return in_child(dataclasses.replace(job, took_s=budget_s))


def receive(receiver: Connection, child: Any) -> Record | Failure | str:
    """Return what a child tells next; one that ended without a word is a failure."""
    try:
        return receiver.recv()
    except EOFError:
        child.join()
    code = child.exitcode
    if code == -signal.SIGKILL:
        return Failure(message="killed by the system, most likely for lack of memory")
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Failure(message=f"its process ended with {how}")
