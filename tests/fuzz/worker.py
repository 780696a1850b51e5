"""A process that reads one damaged file after another, within a bound of memory and time."""

import gc
import json
import mmap
import os
import re
import resource
import signal
import struct
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tests.fuzz.damage import cut_at, edges
from tests.fuzz.damage_containers import hdf5
from tests.fuzz.readers import ALL, Reader
from xraisim.core.errors import UserError

CASE_S = 10.0  # so long may a case take, of processor time
GROWN = 75  # exit status of a worker that has grown and wants to be started again
#: the case being worked on; cases, refused and accepted that were not told of yet
MARK = struct.Struct("<4q")
_MOST_DAMAGES = 3


@dataclass(kw_only=True)
class Tally:
    """How the cases of a reader ended, in ``seconds`` of processor time."""

    reader: str
    cases: int = 0
    refused: int = 0
    accepted: int = 0
    seconds: float = 0.0


class Hang(BaseException):
    """A case took too long."""


def damaged(reader: str, sample: bytes, seed: int, number: int) -> bytes:
    """Return the bytes of a case: truncations at every edge, then one to three damages."""
    if number < len(edges(sample)):
        return cut_at(sample, number)
    rng = np.random.default_rng([seed, zlib.crc32(reader.encode()), number])
    data, damages = sample, ALL[reader].damages
    chosen = rng.integers(len(damages), size=rng.integers(1, _MOST_DAMAGES + 1))
    # within HDF5 first: the library may die here, too, of what the other damages leave
    for damage in sorted((damages[n] for n in chosen), key=lambda one: one is not hdf5):
        try:
            data = damage(data, rng)
        except Exception:  # an earlier damage left nothing that this one could be done to
            continue
    return data


def read_case(reader: Reader, path: Path, data: bytes) -> str:
    """Read a case; return ``accepted`` or ``refused``, or let an error through."""
    path.write_bytes(data)
    try:
        reader.read(path)
    except (UserError, FileNotFoundError) as error:
        cause = error.__cause__
        while cause is not None:
            if isinstance(cause, MemoryError):
                raise MemoryError(f"refused only when memory ran out: {error}") from error
            cause = cause.__cause__
        return "refused"
    return "accepted"


def work(job: tuple[str, int, int], seed: int, bound: int, mark: Path) -> None:
    """Do a job (reader, first, stop), telling of failures and tallies in lines of JSON.

    ``bound``: bytes of address space beyond what the process has after reading the sample.
    ``mark``: a file that always holds :data:`MARK`.
    """
    warnings.simplefilter("ignore")
    name, first, stop = job
    path = Path(ALL[name].sample)
    sample = path.read_bytes()
    if read_case(ALL[name], path, sample) != "accepted":
        raise RuntimeError(f"{name}: the undamaged sample is refused")
    limit = _address_space() + bound
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _too_long)
    with mark.open("r+b") as file, mmap.mmap(file.fileno(), MARK.size) as shared:
        _read_all(name, range(first, stop), seed, shared, limit - bound // 2)
    path.write_bytes(sample)


def _read_all(name: str, numbers: range, seed: int, shared: mmap.mmap, enough: int) -> None:
    reader, tally = ALL[name], Tally(reader=name)
    path = Path(reader.sample)
    sample, began = path.read_bytes(), time.process_time()
    for number in numbers:
        shared[:] = MARK.pack(number, tally.cases, tally.refused, tally.accepted)
        try:
            with _alarm():
                ended = read_case(reader, path, damaged(name, sample, seed, number))
            setattr(tally, ended, getattr(tally, ended) + 1)
        except (Exception, Hang) as error:
            _tell("failure", {"reader": name, "case": number, **_described(error)})
        tally.cases += 1
        if tally.cases % 200 == 0 or _address_space() > enough:
            gc.collect()
            tally.seconds = time.process_time() - began
            _tell("tally", asdict(tally))
            tally, began = Tally(reader=name), time.process_time()
            if _address_space() > enough:  # HDF5 keeps memory of what it failed to read
                sys.exit(GROWN)
    tally.seconds = time.process_time() - began
    _tell("tally", asdict(tally))


def _described(error: BaseException) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if not re.search("tests/fuzz|site-packages|/lib/python", f.filename)]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else ""
    return {"error": type(error).__name__, "where": where, "text": str(error)[:300]}


def _tell(kind: str, values: dict) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **values}) + "\n")
    sys.stdout.flush()


@contextmanager
def _alarm() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, CASE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _too_long(*_: object) -> None:
    raise Hang(f"more than {CASE_S:g} s")


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")
