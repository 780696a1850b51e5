"""The record of one run: what was run, where, how long it took and how good it was.

One JSON file per (task, method, seed). A record is complete in itself: the leaderboard and the
report need nothing else (the report adds slices where the run's volumes are still there).
"""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xraisim.core import config
from xraisim.core.errors import ConfigError, FormatError, reading
from xraisim.core.fsc import Resolution
from xraisim.core.json_text import to_json
from xraisim.core.machine import Hardware
from xraisim.files.atomic import write_text

SCHEMA = 1
RECORD_FILE = "record.json"  # in the directory of a run
NOT_INSTALLED = "not installed"  # begins the error of a method that is not on the machine


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
class PoseError:
    """Angles in degrees to the true orientations, after the global alignment.

    Orientations that the particle's point group makes equivalent count as one. ``*_modulo_mate``
    takes the nearer of the true orientation and its near-symmetric mate.
    """

    median_deg: float
    p90_deg: float
    median_modulo_mate_deg: float
    p90_modulo_mate_deg: float


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What it took to get to ``angstrom``, as far as a run can tell without the truth.

    ``patterns``: looked at (again and again counts) until the half-sets agreed that far by
    ``icc_half_0.143``; ``photons``: in them. Both are None where they never did.
    """

    angstrom: float
    patterns: int | None
    photons: float | None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run of one method on one task with one seed.

    ``error`` is empty for a run that finished. ``seconds`` are wall time per stage, ``peak_gib``
    the largest resident memory of the run's process up to the end of each stage. ``warnings``: what
    the run said against itself.
    """

    schema: int = SCHEMA
    task: str
    method: str
    seed: int
    error: str = ""
    date: str
    config_hash: str
    config: dict[str, Any]
    versions: dict[str, str]
    commit: str = ""
    hardware: Hardware
    patterns: int = 0
    photons_per_pattern: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    peak_gib: dict[str, float] = field(default_factory=dict)
    patterns_per_s: float = 0.0
    resolutions: tuple[Resolution, ...] = ()
    curves: tuple[Curve, ...] = ()
    pose_error: PoseError | None = None
    encoder_pose_error: PoseError | None = None
    effort: Effort | None = None
    warnings: tuple[str, ...] = ()

    @property
    def not_installed(self) -> bool:
        """Whether the method was not on the machine: not run, which is no failure."""
        return self.error.startswith(NOT_INSTALLED)

    @property
    def total_seconds(self) -> float:
        """Wall time of all stages but the simulation, which every method shares."""
        return sum(value for stage, value in self.seconds.items() if stage != "simulate")

    @property
    def peak(self) -> float:
        """Largest resident memory of any stage, GiB."""
        return max(self.peak_gib.values(), default=0.0)

    def resolution(self, rule: str) -> Resolution | None:
        """Return the resolution by ``rule``, or None where the run did not get that far."""
        return next((found for found in self.resolutions if found.rule == rule), None)

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
    if mapping["schema"] != SCHEMA:
        raise FormatError(
            f"{path} has record schema {mapping['schema']}; this version reads {SCHEMA}: run the "
            "benchmark again, or use the version that wrote it"
        )
    try:
        return config.from_mapping(Record, mapping)
    except ConfigError as error:
        raise FormatError(f"{path} is not a whole record: {error}") from error


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
    return f"{record.task}-{record.method}-{record.seed}.json"
