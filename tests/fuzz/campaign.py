"""A run over many cases: workers that are started again after a crash, and the summary."""

import dataclasses
import json
import os
import platform
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.fuzz import samples
from tests.fuzz.readers import ALL
from tests.fuzz.worker import GROWN, MARK, Tally

_SILENT_S = 120  # a loop in a library does not hear the alarm, and a sleep takes no processor
_START_S = 300  # to import everything, on a busy machine
_BATCH = 5000
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
    """``cases`` from ``first`` on for each of ``readers``, for at most ``seconds`` each.

    ``bound_mib``: of memory beyond what a process has when it begins.
    """

    readers: tuple[str, ...]
    cases: int
    first: int = 0
    seed: int = 0
    seconds: float = float("inf")
    bound_mib: int = 1024


def run(campaign: Campaign, say: Callable[[str], None]) -> dict[str, Outcome]:
    """Do all cases and return how they ended, reader by reader."""
    found = {name: Outcome(reader=name) for name in campaign.readers}
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory_disk()) as name:
        directory = Path(name)
        samples.write_all(directory)
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
    about["seconds"] = None if campaign.seconds == float("inf") else campaign.seconds
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
    """Yield jobs for a worker each: several readers where there are few cases of each."""
    last = campaign.first + campaign.cases
    if campaign.cases <= _BATCH:
        jobs = [(reader, campaign.first, last) for reader in campaign.readers]
        size = max(1, _BATCH // campaign.cases)
        yield from (jobs[at : at + size] for at in range(0, len(jobs), size))
        return
    for reader in campaign.readers:
        for start in range(campaign.first, last, _BATCH):
            if found[reader].seconds < campaign.seconds:
                yield [(reader, start, min(start + _BATCH, last))]


def _work(jobs: list[Job], campaign: Campaign, directory: Path, found: dict[str, Outcome]) -> None:
    """Let workers do jobs; a case that ends its worker is a failure, and the next goes on."""
    mark = directory / "mark"
    whole = {job[0]: (directory / ALL[job[0]].sample).read_bytes() for job in jobs}
    while jobs:
        for name, data in whole.items():  # a worker that ended left its last case
            (directory / ALL[name].sample).write_bytes(data)
        mark.write_bytes(MARK.pack(0, -1, 0, 0, 0))
        asked = {
            "jobs": jobs, "seed": campaign.seed, "bound": campaign.bound_mib * 2**20,
            "mark": str(mark),
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", json.dumps(asked)], cwd=directory,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": _path(), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        with process:
            hung = _listen(process, mark, found)
            said = process.stderr.read()[-2000:]
        if process.returncode == 0:
            return
        at = MARK.unpack(mark.read_bytes())
        if process.returncode != GROWN:
            _count_crash(jobs, at, found, "hang" if hung else _how(process.returncode), said)
        jobs = _left(jobs, *at[:2])


def _listen(process: subprocess.Popen, mark: Path, found: dict[str, Outcome]) -> bool:
    """Take in what a worker tells until it ends; return whether it was killed for a hang."""
    hung, last, since = False, b"", time.monotonic()
    while True:
        if select.select([process.stdout], [], [], 1.0)[0]:
            text = process.stdout.readline()
            if not text:
                return hung
            told = json.loads(text)
            found[told["reader"]].add(told)
            if told["kind"] == "failure":
                print(text.strip()[:300], file=sys.stderr, flush=True)
        if mark.read_bytes() != last:
            last, since = mark.read_bytes(), time.monotonic()
        elif time.monotonic() - since > (_START_S if MARK.unpack(last)[1] < 0 else _SILENT_S):
            process.kill()
            hung = True


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


def _path() -> str:
    return str(Path(__file__).parent.parent.parent)


def _memory_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
