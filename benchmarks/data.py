"""The data of a task, and blind data: patterns for a participant, the truth for whom scores.

Blind data are made in the organiser's directory, which the patterns leave when they are whole. So
nothing of the truth is ever where they are, however the making ends.
"""

import dataclasses
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks import worker
from benchmarks.task import Task
from xraisim.core.errors import ConfigError
from xraisim.core.json_text import to_json
from xraisim.files.atomic import disk_errors, partial_path, whole_file, write_text
from xraisim.files.commitment import salt_path
from xraisim.files.lock import new_directory
from xraisim.files.patterns import PatternReader
from xraisim.files.resume import interrupted_path
from xraisim.files.truth import truth_path

PATTERNS, ABOUT = "patterns.h5", "data.json"
_SEED_BITS = 128


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """What is said of a data set where it lies, and to everybody: nothing of its truth.

    ``photons_per_pattern``, ``photons_beyond`` (s·D = 1.2) and ``photons_sha256``:
    :class:`benchmarks.photons.PhotonCount`; ``commitment``: to the truth
    (:mod:`xraisim.files.commitment`).
    """

    task: str
    task_version: int
    blind: bool
    patterns: str = PATTERNS
    count: int
    photons_per_pattern: float
    photons_beyond: float
    photons_sha256: str
    commitment: str


def make(task: Task, out: Path, *, force: bool = False) -> TaskData:
    """Make the patterns of a task in ``out``, and their truth beside them.

    Raises :class:`ConfigError` where something is in the way; ``force`` replaces a data set.
    """
    _clear(out, force)
    with new_directory(out):
        about = _make(task, out, blind=False)
        _tell(out, about)
    return about


def make_blind(task: Task, out: Path, truth: Path, *, force: bool = False) -> TaskData:
    """Make patterns as a task has them in ``out``, with a seed that nobody knows, and their truth.

    The directory ``truth`` is for the organiser alone. Raises :class:`ConfigError` if it is
    ``out`` or in it, or where something is in the way; ``force`` replaces a data set.
    """
    if truth.resolve().is_relative_to(out.resolve()):
        raise ConfigError(
            f"the truth would be in {truth}, which goes out with the patterns in {out}; keep it "
            "elsewhere (--truth)"
        )
    for directory in (out, truth):
        _clear(directory, force)
    with disk_errors(truth):
        truth.mkdir(mode=0o700, parents=True, exist_ok=True)
    with new_directory(truth), new_directory(out):
        seed = secrets.randbits(_SEED_BITS)
        unknown = dataclasses.replace(task.simulate, seed=seed)
        about = _make(dataclasses.replace(task, simulate=unknown), truth, blind=True)
        with whole_file(out / PATTERNS) as partial:
            shutil.move(truth / PATTERNS, partial)
        for directory in (out, truth):
            _tell(directory, about)
    return about


def _make(task: Task, directory: Path, *, blind: bool) -> TaskData:
    made = worker.simulate(task, directory)
    with PatternReader(made.patterns) as reader:
        commitment = reader.info["provenance"]["commitment"]
    return TaskData(
        task=task.name,
        task_version=task.version,
        blind=blind,
        count=made.count,
        photons_per_pattern=made.photons_per_pattern,
        photons_beyond=made.photons_beyond,
        photons_sha256=made.photons_sha256,
        commitment=commitment,
    )


def _tell(directory: Path, about: TaskData) -> None:
    write_text(directory / ABOUT, to_json(dataclasses.asdict(about), indent=1) + "\n")


def _clear(directory: Path, force: bool) -> None:
    """Remove a data set from a directory, if that is wished, else refuse one that holds anything.

    Where a public set was, its truth must not stay beside blind patterns.
    """
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is a file; expected the name of a directory")
    if not directory.exists() or not any(directory.iterdir()):
        return
    if not force:
        raise ConfigError(
            f"{directory} is there already and not empty; write elsewhere, or replace the data "
            "set in it: --force"
        )
    path = directory / PATTERNS
    kept = (path, truth_path(path), salt_path(path), directory / ABOUT)
    for one in (*kept, *map(partial_path, kept), interrupted_path(path)):
        one.unlink(missing_ok=True)
