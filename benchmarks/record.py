"""The record of one run: what was run, where, how long it took and how good it was.

One JSON file per (task, method, seed). A record is complete in itself: the leaderboard and the
report need nothing else (the report adds slices where the run's volumes are still there).
"""

import dataclasses
import json
import math
import subprocess
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from xraisim.core import config
from xraisim.core.errors import ConfigError, FormatError, reading
from xraisim.core.json_text import to_json
from xraisim.core.machine import Hardware
from xraisim.core.settings import OneOf
from xraisim.files.atomic import write_text

SCHEMA = 4
RECORDS = Path(str(files("benchmarks"))) / "records"  # those that ship
RECORD_FILE = "record.json"  # in the directory of a run
RUN, SELF_REPORTED, VERIFIED = "run", "self-reported", "verified"  # where a record comes from
SECONDS, PATTERNS = "seconds", "patterns"  # what a trajectory is against
OPEN, CLOSED = "open", "closed"  # divisions: anything goes, or within the budget of the task
PROPOSED, LIVE, SUPERSEDED, WITHDRAWN = "proposed", "live", "superseded", "withdrawn"
STATUSES = (PROPOSED, LIVE, SUPERSEDED, WITHDRAWN)  # the life of a task, and of a row
NOT_INSTALLED = "not installed"  # begins the error of a method that is not on the machine
NOT_RUN = "not run"  # begins the error of a method whose limit the task exceeds
OVER_BUDGET = "ended by the budget"  # begins the error of a run that its budget ended


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One value per shell, ``s`` in Å⁻¹; shells without a value are left out."""

    name: str
    s_per_angstrom: tuple[float, ...]
    value: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.s_per_angstrom) != len(self.value):
            raise ConfigError(
                f"curve {self.name} has {len(self.s_per_angstrom)} shells and "
                f"{len(self.value)} values; expected as many of one as of the other"
            )


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """How a figure went while a run went on, as the run said it then.

    ``name``: its rule, ``unit``: that of ``value``; ``x``: seconds or patterns, as ``against``
    says (:mod:`benchmarks.trajectories`). A value is None where it was not reached;
    ``reached_edge``: what was compared then ended there, the value was as good or better.
    """

    name: str
    unit: str
    against: Annotated[str, OneOf(SECONDS, PATTERNS)]
    x: tuple[float, ...]
    value: tuple[float | None, ...]
    reached_edge: tuple[bool, ...]

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.value) == len(self.reached_edge):
            raise ConfigError(
                f"trajectory {self.name} has {len(self.x)} points, {len(self.value)} values and "
                f"{len(self.reached_edge)} edges; expected as many of each"
            )


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Root mean squares of stated errors of poses and of actual ones, degrees, bin by bin.

    ``patterns``: how many are in each bin, of which the stated errors ascend.
    """

    stated_deg: tuple[float, ...]
    actual_deg: tuple[float, ...]
    patterns: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.stated_deg) == len(self.actual_deg) == len(self.patterns):
            raise ConfigError(
                f"a reliability has {len(self.stated_deg)} stated errors, {len(self.actual_deg)} "
                f"actual ones and {len(self.patterns)} counts; expected as many of each"
            )


@dataclass(frozen=True, kw_only=True)
class Value:
    """What a metric of :mod:`benchmarks.metrics` gave: None where the run did not get that far.

    ``reached_edge``: the data end there; the value is as good as stated, or better.
    """

    value: float | None
    reached_edge: bool = False

    def __post_init__(self) -> None:
        if self.value is not None and math.isnan(self.value):
            raise ConfigError("a metric is NaN; expected a number, or None if it was not reached")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run of one method on one task with one seed.

    ``seed`` is the method's, ``data_seed`` that of the patterns, which belongs to the task.
    ``photons_sha256``: of the patterns; ``photons_agree``: whether the task states the same, None
    if it states none.
    ``photons_per_pattern``: of all photons; ``photons_beyond``: of those beyond s·D = 1.2
    (:mod:`benchmarks.photons`), 0 if not counted. ``scale``: which fraction of the patterns of a
    task was run; below 1 the name of the task says so too: ``quick@0.1``.
    ``error`` is empty for a run that finished. ``seconds`` are wall time per stage, ``peak_gib``
    the largest resident memory of the run's process, or of one program that it started, up to the
    end of each stage; ``patterns_per_s``: patterns over the seconds of the reconstruction, all of
    it; ``energy_joule``: what the processors used in each stage, where the machine tells
    (:mod:`xraisim.core.energy`). ``metrics``: by the name that states the rule; one that a method
    has nothing to say of is not there. ``trajectories``: what the run said of itself on its way;
    ``reliability``: of the errors that it states of its poses. ``warnings``: what the run said
    against itself.

    ``origin``: ``run`` here; ``self-reported`` where somebody scored a result on a machine of
    their own; ``verified`` where a result was scored by whom it was submitted to. In both time,
    memory and hardware are as the maker states them, ``notes`` is what the maker says,
    ``submission`` the description (:mod:`benchmarks.description`), and ``artefacts_sha256`` the
    hash of every file that was scored. ``commitment``: of blind data, to their truth.

    ``division``: ``closed`` for a run within the budget of the task, else ``open``; ``budget_s``:
    what it could have taken, None for any time. ``status``: as stated, with ``status_reason``; what
    counts is :func:`benchmarks.lifecycle.standing`.
    """

    schema: int = SCHEMA
    task: str
    task_version: int = 1
    method: str
    seed: int
    data_seed: int
    photons_sha256: str = ""
    photons_agree: bool | None = None
    error: str = ""
    date: str
    config_hash: str
    config: dict[str, Any]
    versions: dict[str, str]
    commit: str = ""
    hardware: Hardware
    patterns: int = 0
    photons_per_pattern: float = 0.0
    photons_beyond: float = 0.0
    scale: float = 1.0
    seconds: dict[str, float] = field(default_factory=dict)
    peak_gib: dict[str, float] = field(default_factory=dict)
    energy_joule: dict[str, float] = field(default_factory=dict)
    patterns_per_s: float = 0.0
    metrics: dict[str, Value] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    trajectories: tuple[Trajectory, ...] = ()
    reliability: Reliability | None = None
    warnings: tuple[str, ...] = ()
    origin: Annotated[str, OneOf(RUN, SELF_REPORTED, VERIFIED)] = RUN
    notes: str = ""
    submission: dict[str, Any] = field(default_factory=dict)
    artefacts_sha256: dict[str, str] = field(default_factory=dict)
    commitment: str = ""
    division: Annotated[str, OneOf(OPEN, CLOSED)] = OPEN
    budget_s: float | None = None
    status: Annotated[str, OneOf(*STATUSES)] = LIVE
    status_reason: str = ""

    @property
    def label(self) -> str:
        """The method as tables and figures name it."""
        marks = [self.origin] * (self.origin != RUN) + [self.division] * (self.division != OPEN)
        return ", ".join([self.method, *marks])

    @property
    def not_installed(self) -> bool:
        """Whether the method was not on the machine: not run, which is no failure."""
        return self.error.startswith(NOT_INSTALLED)

    @property
    def not_run(self) -> bool:
        """Whether the task exceeds what the method is run on: not run, which is no failure."""
        return self.error.startswith(NOT_RUN)

    @property
    def failed(self) -> bool:
        """Whether the method was run and left no result."""
        return bool(self.error) and not (self.not_installed or self.not_run)

    @property
    def total_seconds(self) -> float:
        """Wall time of all stages but the simulation, which every method shares."""
        return sum(value for stage, value in self.seconds.items() if stage != "simulate")

    @property
    def peak(self) -> float:
        """Largest resident memory of any stage, GiB."""
        return max(self.peak_gib.values(), default=0.0)

    @property
    def total_joule(self) -> float | None:
        """Energy of all stages but the simulation, None where the machine did not tell."""
        return sum(self.energy_joule.values()) if self.energy_joule else None

    def curve(self, name: str) -> Curve | None:
        """Return the curve ``name``, or None."""
        return next((found for found in self.curves if found.name == name), None)


def write(path: Path, record: Record) -> None:
    """Write ``record`` as JSON; the file appears under its name only when it is whole."""
    text = to_json(_plain(dataclasses.asdict(record)), indent=1)
    write_text(path, text + "\n")


def _plain(value: Any) -> Any:
    """Return JSON data; JSON has no infinity (an open end of a range), so that becomes text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value


def read(path: Path) -> Record:
    """Read a record; raises :class:`FormatError` that says what is wrong with it."""
    with reading(path, "record"):
        mapping = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(mapping, dict) or "schema" not in mapping:
        raise FormatError(f"{path} is not a record: it has no schema number")
    if mapping["schema"] == 1:
        with reading(path, "record of schema 1"):
            mapping = _of_schema_1(mapping)
    if mapping["schema"] in (2, 3):  # which had fewer fields
        mapping = {**mapping, "schema": SCHEMA}
    if mapping["schema"] != SCHEMA:
        raise FormatError(
            f"{path} has record schema {mapping['schema']}; this version reads 1 to {SCHEMA}: run "
            "the benchmark again, or use the version that wrote it"
        )
    try:
        return config.from_mapping(Record, mapping)
    except ConfigError as error:
        raise FormatError(f"{path} is not a whole record: {error}") from error


def _of_schema_1(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a record as it is today: every metric by its name, the seed of the data stated.

    The patterns of a run had the seed of the run.
    """
    own = dict(mapping)
    metrics: dict[str, Any] = {
        one["rule"]: {"value": one["angstrom"], "reached_edge": one["reached_edge"]}
        for one in own.pop("resolutions", ())
    }
    for errors in ("pose_error", "encoder_pose_error"):
        for statistic, value in (own.pop(errors, None) or {}).items():
            metrics[f"{errors}_{statistic}"] = {"value": value}
    if effort := own.pop("effort", None):
        metrics["patterns_to_reach_angstrom"] = {"value": effort["patterns"]}
    return own | {"schema": SCHEMA, "data_seed": own["seed"], "metrics": metrics}


def read_all(directory: Path) -> list[Record]:
    """Return every record below a directory, or the one in a file, in order of date."""
    if directory.is_file():
        return [read(directory)]
    if not directory.is_dir():
        raise FormatError(f"{directory}: no such file or directory; expected records (*.json)")
    found = [read(path) for path in record_paths(directory)]
    if not found:
        raise FormatError(f"{directory} holds no records; make some with: xrai-bench run")
    return sorted(found, key=lambda record: record.date)


def record_paths(directory: Path) -> list[Path]:
    """Return the record files below a directory: a run keeps other JSON files beside its own."""
    return sorted({*directory.rglob(RECORD_FILE), *directory.glob("*.json")})


def file_name(record: Record) -> str:
    """Return the name under which a record is kept among others."""
    mark = marks(record.origin, record.division)
    return f"{record.task}-{record.method}-{record.seed}{mark}.json"


def marks(origin: str, division: str = OPEN) -> str:
    """Return what the names of files and directories end in, empty for a run in the open."""
    return f"-{origin}" * (origin != RUN) + f"-{division}" * (division != OPEN)


def checkout_commit() -> str:
    """Return the git commit of the checkout that runs, "+" appended if changed; empty if none."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
