"""Validate a pattern file: run every registered check, reading the patterns once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the compression filters with HDF5)
import numpy as np

from xraisim.checks import CHECKS, Check, PatternFile
from xraisim.checks.registry import Severity
from xraisim.core.errors import FormatError, reading
from xraisim.core.types import Photons
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL

_BLOCK_PATTERNS = 4096
_BLOCK_ENTRIES = 2**20
_CHUNKS = Check(name="chunks", title="Every chunk of photons can be read", severity="error")
_RANGE = Check(name="range", title="Every pixel lies on the detector", severity="error")

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one check: ``problems`` is empty if the file passes.

    ``ran`` is False where an earlier check failed without which this one makes no sense.
    """

    name: str
    title: str
    severity: Severity
    problems: tuple[str, ...]
    ran: bool = True

    @property
    def failed(self) -> bool:
        """Whether this is an error; a warning is not."""
        return self.severity == "error" and bool(self.problems)


def listing() -> list[Check]:
    """Return every check that :func:`validate` makes, in its order."""
    return [*_of_files(), _CHUNKS, _RANGE, *_of_streams()]


def _of_files() -> list[Check]:
    """Return the checks of the whole file, those that others rely on first."""
    return sorted((check for check in CHECKS if check.of_file), key=lambda check: not check.gate)


def _of_streams() -> list[Check]:
    return [check for check in CHECKS if check.of_stream]


def failed(findings: list[Finding]) -> bool:
    """Return whether any finding is an error: then the command's exit code is 1."""
    return any(finding.failed for finding in findings)


def validate(path: Path | str, progress: Progress | None = None) -> list[Finding]:
    """Run every check on a pattern file; ``progress`` gets the number of patterns just read.

    Raises :class:`FormatError` if the file cannot be opened as HDF5.
    """
    with _opened(Path(path)) as file:
        patterns = PatternFile(file)
        findings: list[Finding] = []
        for check in _of_files():
            findings.append(_of_file(check, patterns, skip=_gate_closed(findings)))
        with reading(path, "pattern file"):
            return findings + _of_stream(patterns, _gate_closed(findings), progress)


def _gate_closed(findings: list[Finding]) -> bool:
    """Return whether a check has failed that the ones after it rely on."""
    gates = {check.name for check in CHECKS if check.gate}
    return any(finding.problems for finding in findings if finding.name in gates)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.exists():
        raise FormatError(f"{path}: no such pattern file; make one with xrai-sim make")
    with reading(path, "HDF5 file", "expected a pattern file of xrai-sim make"):
        file = h5py.File(path, "r")
    with file:
        yield file


def _of_file(check: Check, patterns: PatternFile, *, skip: bool) -> Finding:
    if skip or check.of_file is None:
        return _finding(check, (), ran=False)
    try:
        with reading(patterns.file.filename, "pattern file"):
            return _finding(check, tuple(check.of_file(patterns)))
    except FormatError as error:
        return _finding(check, (f"what it needs cannot be read ({error})",))


def _finding(check: Check, problems: tuple[str, ...], *, ran: bool = True) -> Finding:
    return Finding(
        name=check.name, title=check.title, severity=check.severity, problems=problems, ran=ran
    )


def _of_stream(patterns: PatternFile, skip: bool, progress: Progress | None) -> list[Finding]:
    """Give every block to every check of the stream; blocks that cannot be read are left out."""
    checks = _of_streams()
    if skip:
        return [_finding(check, (), ran=False) for check in (_CHUNKS, _RANGE, *checks)]
    running = [check.of_stream(patterns) for check in checks if check.of_stream]
    unreadable, outside = [], []
    for start, stop in _spans(patterns.file[OFFSETS]):
        try:
            with reading(patterns.file.filename, "pattern file"):
                block = _read(patterns.file, start, stop)
        except FormatError as error:
            unreadable.append(f"patterns {start} … {stop - 1} cannot be read ({error})")
            continue
        lowest, highest = block.pixel.min(initial=0), block.pixel.max(initial=0)
        if lowest < 0 or highest >= patterns.n_pixels:
            outside.append(
                f"patterns {start} … {stop - 1} have pixel {lowest if lowest < 0 else highest}, "
                f"the detector has {patterns.n_pixels}"
            )
            continue
        for check in running:
            check.add(start, block)
        if progress is not None:
            progress(stop - start)
    findings = [_finding(_CHUNKS, _short(unreadable)), _finding(_RANGE, _short(outside))]
    pairs = zip(checks, running, strict=True)
    return findings + [_finding(check, tuple(one.problems())) for check, one in pairs]


def _short(problems: list[str], most: int = 5) -> tuple[str, ...]:
    more = [f"and {len(problems) - most} blocks more"] if len(problems) > most else []
    return tuple(problems[:most] + more)


def _spans(offsets: h5py.Dataset) -> Iterator[tuple[int, int]]:
    """Yield first and last+1 of blocks of a bounded number of patterns and entries."""
    n = len(offsets) - 1
    start = 0
    while start < n:
        ends = offsets[start : min(start + _BLOCK_PATTERNS, n) + 1]
        fit = int(np.searchsorted(ends, ends[0] + _BLOCK_ENTRIES, side="right")) - 1
        stop = start + max(1, min(fit, len(ends) - 1))
        yield start, stop
        start = stop


def _read(file: h5py.File, start: int, stop: int) -> Photons:
    offsets = file[OFFSETS][start : stop + 1]
    pixel = file[PIXEL][offsets[0] : offsets[-1]].astype(np.int64)
    count = file[COUNT][offsets[0] : offsets[-1]].astype(np.int32)
    return Photons(offsets=offsets - offsets[0], pixel=pixel, count=count)
