"""A run over many cases: workers that are started again after a crash, and the summary."""

import dataclasses
import gc
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.fuzz import samples
from tests.fuzz.forked import Forked
from tests.fuzz.readers import ALL
from tests.fuzz.worker import GROWN, MARK, Tally, work

_MOST_BUSY_S = 30  # of processor time in a case: a loop in a library does not hear the alarm
_MOST_SILENT_S = 900  # by the clock, on a busy machine: a sleep takes no processor
_BATCH = 300
Job = tuple[str, int, int]


@dataclass(kw_only=True)
class Outcome(Tally):
    """How the cases of a reader ended; ``failures``: what was neither refused nor accepted."""

    failures: list[dict] = field(default_factory=list)

    def add(self, told: dict) -> None:
        """Take in what a worker tells."""
        if told["kind"] == "failure":
            self.failures.append({k: told[k] for k in ("case", "error", "where", "text")})
            return
        for name in ("cases", "refused", "accepted", "seconds"):
            setattr(self, name, getattr(self, name) + told[name])


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """``cases`` from ``first`` on for each of ``readers``, or what can be done in ``minutes``.

    ``bound_mib``: of memory beyond what a process has when it begins.
    """

    readers: tuple[str, ...]
    cases: int
    first: int = 0
    seed: int = 0
    minutes: float = float("inf")
    bound_mib: int = 1024


def run(campaign: Campaign, say: Callable[[str], None]) -> dict[str, Outcome]:
    """Do all cases and return how they ended, reader by reader."""
    found = {name: Outcome(reader=name) for name in campaign.readers}
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory_disk()) as name:
        directory = Path(name)
        _write_samples(directory)
        gc.collect()
        gc.freeze()  # what is there stays: no worker need look at it again and again
        for jobs in _batches(campaign, found):
            _work(jobs, campaign, directory, found)
            for reader in dict.fromkeys(job[0] for job in jobs):
                say(line(found[reader]))
    return found


def line(one: Outcome) -> str:
    """Return how the cases of a reader ended, in a line."""
    return (
        f"{one.reader}: {one.cases:,} cases, {one.refused:,} refused, {one.accepted:,} accepted, "
        f"{len(one.failures)} failures ({1e3 * one.seconds / max(one.cases, 1):.2f} ms each)"
    )


def summary(campaign: Campaign, found: dict[str, Outcome]) -> dict:
    """Return everything as JSON data."""
    about = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        **dataclasses.asdict(campaign),
    }
    about["minutes"] = None if campaign.minutes == float("inf") else campaign.minutes
    return {**about, "outcomes": [asdict(one) for one in found.values()]}


def table(found: dict[str, Outcome]) -> str:
    """Return a table in Markdown."""
    rows = [
        f"| {o.reader} | {o.cases:,} | {o.refused:,} | {o.accepted:,} | {len(o.failures)} |"
        for o in found.values()
    ]
    head = "| reader | cases | refused | accepted | failures |\n|---|---|---|---|---|"
    return "\n".join([head, *rows]) + "\n"


def _batches(campaign: Campaign, found: dict[str, Outcome]) -> Iterator[list[Job]]:
    """Yield jobs, the next one always of the reader that took least processor time so far."""
    began, last = time.monotonic(), campaign.first + campaign.cases
    first = dict.fromkeys(campaign.readers, campaign.first)
    while first and time.monotonic() - began < 60 * campaign.minutes:
        reader = min(first, key=lambda name: found[name].seconds)
        start = first.pop(reader)
        stop = min(start + _BATCH, last)
        yield [(reader, start, stop)]
        if stop < last:
            first[reader] = stop


def _work(jobs: list[Job], campaign: Campaign, directory: Path, found: dict[str, Outcome]) -> None:
    """Let workers do jobs; a case that ends its worker is a failure, and the next goes on."""
    mark = directory / "mark"
    whole = {job[0]: (directory / ALL[job[0]].sample).read_bytes() for job in jobs}
    while jobs:
        for name, data in whole.items():  # a worker that ended left its last case
            (directory / ALL[name].sample).write_bytes(data)
        mark.write_bytes(MARK.pack(0, -1, 0, 0, 0))
        bound = campaign.bound_mib * 2**20
        with Forked(directory, work, jobs, campaign.seed, bound, mark) as worker:
            hung = _listen(worker, mark, found)
        if worker.status == 0:
            return
        at = MARK.unpack(mark.read_bytes())
        if worker.status != GROWN:
            how = "hang" if hung else _how(worker.status)
            _count_crash(jobs, at, found, how, worker.said)
        jobs = _left(jobs, *at[:2])


def _write_samples(directory: Path) -> None:
    """Write all samples, in a process of its own: one that will be forked may have no threads."""
    with Forked(directory, samples.write_all, directory) as writing:
        for _ in writing.lines(lambda: True):
            pass
    if writing.status:
        raise RuntimeError(f"the samples could not be written: {writing.said}")


def _listen(worker: Forked, mark: Path, found: dict[str, Outcome]) -> bool:
    """Take in what a worker tells until it ends; return whether it was killed for a hang."""
    seen, worked, since = b"", 0.0, 0.0

    def goes_on() -> bool:
        nonlocal seen, worked, since
        now = mark.read_bytes()
        if now != seen:
            seen, worked, since = now, worker.processor_s(), time.monotonic()
        busy = worker.processor_s() - worked
        return busy <= _MOST_BUSY_S and time.monotonic() - since <= _MOST_SILENT_S

    for text in worker.lines(goes_on):
        _take(text, found)
    return worker.killed


def _take(text: str, found: dict[str, Outcome]) -> None:
    """Take in a line that a worker tells."""
    told = json.loads(text)
    found[told["reader"]].add(told)
    if told["kind"] == "failure":
        print(text.strip()[:300], file=sys.stderr, flush=True)


def _count_crash(
    jobs: list[Job], mark: tuple[int, ...], found: dict[str, Outcome], how: str, said: str
) -> None:
    """Name the case that ended a worker."""
    place, number, cases, refused, accepted = mark
    if number < 0:
        raise RuntimeError(f"a worker ended before its first case ({how}): {said}")
    one = found[jobs[place][0]]
    one.cases, one.refused = one.cases + cases + 1, one.refused + refused
    one.accepted += accepted
    one.failures.append({"case": number, "error": how, "where": "", "text": said[-300:]})


def _left(jobs: list[Job], place: int, number: int) -> list[Job]:
    """Return the jobs behind a case."""
    reader, _, stop = jobs[place]
    rest = [(reader, number + 1, stop)] if number + 1 < stop else []
    return rest + jobs[place + 1 :]


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _memory_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
