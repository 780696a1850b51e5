"""Verify a submission: score its files where they were handed in, and hold its claims against that.

Nothing of a submission is run, and its files may not reach outside of themselves
(:mod:`benchmarks.artefacts`). Of blind data the truth is shown to be the one that was fixed when
the patterns were handed out (:mod:`xraisim.files.commitment`).
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import artefacts, data, pipeline, record
from benchmarks.description import FILE, Description
from benchmarks.lifecycle import BLIND
from benchmarks.metrics import METRICS
from benchmarks.record import RECORD_FILE, SELF_REPORTED, VERIFIED, Record
from benchmarks.regression_check import SPREADS
from benchmarks.submission import read_submission, score_submission
from benchmarks.task import Task
from xraisim.core import config
from xraisim.core.errors import ConfigError, FormatError
from xraisim.files.commitment import commitment_of
from xraisim.files.result import NAME as RESULT
from xraisim.files.result import POSES, intensity_path, read_object
from xraisim.files.truth import read_truth


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The record that was made, and what a record in the submission claims.

    ``agreeing``: how many of its numbers are confirmed; ``differing``: those that are not, in
    words.
    """

    record: Record
    agreeing: int = 0
    differing: tuple[str, ...] = ()


def verify(
    path: Path | str,
    task: Task | None = None,
    work: Path | str = "runs/bench",
    *,
    truth: Path | str | None = None,
) -> Verified:
    """Check and score a submission, and compare it with what it claims.

    ``task``: by default the one that it states; ``work``: as of
    :func:`benchmarks.submission.score_result`; ``truth``: the truth file of blind data, with
    ``data.json`` beside it. Raises :class:`ConfigError` for a description that is not whole or is
    about something else, and :class:`FormatError` for files that cannot be scored.
    """
    path, work = Path(path), Path(work)
    _require_alone(path)
    left = read_submission(path)
    if left.description is None:
        raise ConfigError(f"{path} has no {FILE}; a submission says who made it, of what and how")
    task = left.task(task)
    blind = _blind(Path(truth), left.description, task) if truth else {}
    given = Path(truth) if truth else None
    made = score_submission(left, task, work, given, stated={"origin": VERIFIED, **blind})
    found = _compared(_claim(path, made), made)
    if found.differing:
        directory = pipeline.run_directory(work, made.task, made.method, made.seed)
        mark = record.marks(made.origin, made.division)
        record.write(directory.with_name(f"{directory.name}{mark}") / RECORD_FILE, found.record)
    return found


def _require_alone(path: Path) -> None:
    if not path.is_dir():
        raise ConfigError(f"{path} is no directory; a submission is one, with {FILE} and a result")
    artefacts.require_alone(intensity_path(path))
    for name in (FILE, RESULT, POSES):
        if (path / name).exists() or (path / name).is_symlink():
            artefacts.require_alone(path / name)


def _blind(truth: Path, described: Description, task: Task) -> dict[str, Any]:
    """Return what a record says of blind data; their truth has to be the one committed to."""
    known = read_truth(truth)
    proof = commitment_of(known)
    if known.seed == task.simulate.seed:
        raise ConfigError(f"{truth} is the truth of the public data of {task.name}; leave it out")
    about = truth.with_name(data.ABOUT)
    if not about.exists():
        raise FormatError(f"{truth} has no {data.ABOUT} beside it, as xrai-bench data leaves it")
    told = config.from_mapping(data.TaskData, read_object(about))
    if (told.task, told.task_version) != (task.name, task.version):
        raise ConfigError(
            f"{about} is of version {told.task_version} of {told.task}; expected version "
            f"{task.version} of {task.name}"
        )
    for where, stated in ((about, told.commitment), (Path(FILE), described.commitment)):
        if stated != proof:
            raise ConfigError(
                f"{where} states the commitment {stated or 'of nothing'}; that of {truth} is "
                f"{proof}: these are not the same data"
            )
    return {
        "task": f"{task.name}{BLIND}",
        "commitment": proof,
        "photons_sha256": told.photons_sha256,
        "photons_per_pattern": told.photons_per_pattern,
        "warnings": (),
    }


def _claim(path: Path, made: Record) -> Record | None:
    """Return the record that a submission has of itself, made by ``xrai-bench score``."""
    for one in sorted(path.glob(f"*-{SELF_REPORTED}*.json")):
        artefacts.require_alone(one)
        found = record.read(one)
        if (found.method, found.seed) == (made.method, made.seed):
            return found
    return None


def _compared(claimed: Record | None, made: Record) -> Verified:
    """Hold every number that is claimed against what was found, as far as rounding may move it."""
    if claimed is None:
        return Verified(record=made)
    differing, agreeing = [], 0
    if claimed.artefacts_sha256 != made.artefacts_sha256:
        differing.append("the files are not those that the claimed record was made of")
    for name in (name for name in METRICS if name in claimed.metrics):
        metric, value = METRICS[name], made.metrics.get(name)
        told, found = metric.number(claimed.metrics[name]), metric.number(value)
        claim, finding = metric.text(told), metric.text(found)
        share, absolute = metric.least_spread
        if told == found or abs(told - found) <= SPREADS * max(share * abs(found), absolute):
            agreeing += 1
        else:
            differing.append(f"{name} is claimed as {claim}, found {finding}")
    warnings = (*made.warnings, *differing)
    return Verified(
        record=dataclasses.replace(made, warnings=warnings),
        agreeing=agreeing,
        differing=tuple(differing),
    )
