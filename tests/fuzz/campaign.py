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

_MOST_BUSY_S = 12  # of processor time in a case: a loop in a library does not hear the alarm
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
        whole = {name: (directory / ALL[name].sample).read_bytes() for name in found}
        gc.collect()
        gc.freeze()  # what is there stays: no worker need look at it again and again
        for job in _batches(campaign, found):
            _work(job, campaign, directory, whole[job[0]], found)
            say(line(found[job[0]]))
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


def _batches(campaign: Campaign, found: dict[str, Outcome]) -> Iterator[Job]:
    """Yield jobs, the next one always of the reader that took least processor time so far."""
    began, last = time.monotonic(), campaign.first + campaign.cases
    first = dict.fromkeys(campaign.readers, campaign.first)
    while first and time.monotonic() - began < 60 * campaign.minutes:
        reader = min(first, key=lambda name: found[name].seconds)
        start = first.pop(reader)
        stop = min(start + _BATCH, last)
        yield reader, start, stop
        if stop < last:
            first[reader] = stop


def _work(
    job: Job, campaign: Campaign, directory: Path, sample: bytes, found: dict[str, Outcome]
) -> None:
    """Let workers do a job; a case that ends its worker is a failure, and the next goes on."""
    reader, first, stop = job
    mark, bound = directory / "mark", campaign.bound_mib * 2**20
    while first < stop:
        # a worker that ended left its last case there
        (directory / ALL[reader].sample).write_bytes(sample)
        mark.write_bytes(MARK.pack(-1, 0, 0, 0))
        asked = (reader, first, stop), campaign.seed, bound, mark
        with Forked(directory, work, *asked) as worker:
            hung = _listen(worker, mark, found)
        if worker.status == 0:
            return
        at = MARK.unpack(mark.read_bytes())
        if worker.status != GROWN:
            how = "hang" if hung else _how(worker.status)
            _count_crash(found[reader], at, how, worker.said)
        first = at[0] + 1


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


def _count_crash(one: Outcome, mark: tuple[int, ...], how: str, said: str) -> None:
    """Name the case that ended a worker."""
    number, cases, refused, accepted = mark
    if number < 0:
        raise RuntimeError(f"a worker ended before its first case ({how}): {said}")
    one.cases, one.refused = one.cases + cases + 1, one.refused + refused
    one.accepted += accepted
    one.failures.append({"case": number, "error": how, "where": "", "text": said[-300:]})


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _memory_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
