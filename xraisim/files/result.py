"""What a method says of its result: ``result.json`` beside volumes and poses, or what else it made.

A result is a directory: ``intensity.h5`` (:mod:`xraisim.files.volumes`), ``poses.h5``
(:mod:`xraisim.files.poses`), ``half_1.h5`` and ``half_2.h5`` where two half-sets were refined
apart, and this file, written last: where it is, the run has ended. Any program can leave one, and
whatever looks at results begins here.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from xraisim.core import config
from xraisim.core.errors import ConfigError, FormatError, reading
from xraisim.core.fsc import Resolution
from xraisim.core.json_text import to_json
from xraisim.core.machine import Hardware
from xraisim.files.atomic import write_text

NAME = "result.json"
INTENSITY, POSES, HALVES = "intensity.h5", "poses.h5", ("half_1.h5", "half_2.h5")
FORMAT, VERSION = "x-rai result", 2
_FORMER_NAME = "summary.json"  # version 1, which stated neither version nor method
# What in a version 1 tells the method, where it does not say so; else EMC.
_FORMER_METHODS = {"rounds": "xrai", "r_factors": "phasing", "classes": "classify"}
_FORMER_HALVES = ("intensity_half1.h5", "intensity_half2.h5")


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished reconstruction, phasing or classification in figures.

    ``method``: the program's part that made it, ``method_version``: its version. ``patterns``:
    looked at, None where it began with a volume; ``seconds``: of wall time, ``seed``: of the
    method, not of the data. ``d_min_angstrom``: where what was measured ends. ``resolution``: of
    the half-sets or of the phases, None where nothing tells. ``warnings``: why the result may be
    wrong, one by one. ``figures``: what else the method tells, as numbers, texts and lists of them.
    """

    method: str
    method_version: str = ""
    seconds: float
    patterns: int | None = None
    patterns_per_s: float | None = None
    d_min_angstrom: float | None = None
    resolution: Resolution | None = None
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    peak_memory_gib: float | None = None
    device: str = "cpu"
    hardware: Hardware | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def rows(self) -> dict[str, Any]:
        """Return names and values for a table, in order; what is not known is left out."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "figures"}
        own["hardware"] = None if self.hardware is None else str(self.hardware)
        found = self.resolution
        own["resolution"] = None if found is None else f"{found.rule} {found}"
        own["warnings"] = "; ".join(self.warnings) or None
        return {name: value for name, value in (own | self.figures).items() if value is not None}


def as_json(result: Result) -> str:
    """Return a result as the text of its file."""
    return to_json({"format": FORMAT, "version": VERSION, **asdict(result)}, indent=2) + "\n"


def write_result(directory: Path, result: Result) -> None:
    """Write ``result.json``, whole or not at all."""
    write_text(directory / NAME, as_json(result))


def is_finished(directory: Path) -> bool:
    """Whether the reconstruction in a directory has ended."""
    return any((directory / name).exists() for name in (NAME, _FORMER_NAME))


def read_result(directory: Path) -> Result | None:
    """Return what a run says of itself, None while it has not ended.

    Version 1, ``summary.json``, is read too, with a warning. Raises :class:`FormatError` for a
    damaged file, or one of a later version.
    """
    path = directory / NAME
    if path.exists():
        content = read_object(path)
        if (content.pop("format", None), content.pop("version", None)) != (FORMAT, VERSION):
            raise FormatError(
                f"{path} is no {FORMAT} of version {VERSION}; use the program that wrote it"
            )
        return _typed(path, content)
    former = directory / _FORMER_NAME
    if not former.exists():
        return None
    found = _typed(former, _renewed(read_object(former)))
    warnings.warn(f"{former} is of version 1, now {NAME}: read for one release more", stacklevel=2)
    return found


def half_paths(directory: Path) -> tuple[Path, Path]:
    """Return where the volumes of two half-sets are, or would be."""
    names = HALVES if not (directory / _FORMER_HALVES[0]).exists() else _FORMER_HALVES
    return directory / names[0], directory / names[1]


def intensity_path(directory: Path) -> Path:
    """Return the intensity of a result; raises :class:`FormatError` where there is none."""
    paths = [directory / INTENSITY, (directory / INTENSITY).with_suffix(".mrc")]
    found = next((path for path in paths if path.exists()), None)
    if found is None:
        names = " or ".join(path.name for path in paths)
        raise FormatError(f"{directory} has no {names}; a result needs an intensity")
    return found


def read_object(path: Path) -> dict[str, Any]:
    """Read a file of one JSON object; raises :class:`FormatError` for another one."""
    with reading(path, "JSON file"):
        return object_of(str(path), path.read_text(encoding="utf-8"))


def object_of(where: str, text: str) -> dict[str, Any]:
    """Return the JSON object that a text is; raises :class:`FormatError` for another one."""
    with reading(where, "JSON object"):
        found = json.loads(text)
        if not isinstance(found, dict):
            raise FormatError(f"{where}: found JSON of {text[:40]!r}; expected a JSON object")
        return found


def _typed(path: Path, content: dict[str, Any]) -> Result:
    try:
        return config.from_mapping(Result, content)
    except ConfigError as error:
        raise FormatError(f"{path} is not a whole result: {error}") from error


def _renewed(former: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of version 1 as version 2 has it."""
    own = {one.name for one in fields(Result)} - {"resolution", "hardware", "warnings", "figures"}
    known = {name: value for name, value in former.items() if name in own and value is not None}
    method = next((m for name, m in _FORMER_METHODS.items() if name in former), "emc")
    found = {"method": method, "seconds": 0.0, **known}
    said = former.get("doubts", str(former.get("warnings", "")).split("; "))
    found["warnings"] = [one for one in said if one]
    if isinstance(former.get("resolution"), dict):  # of phasing
        found["resolution"] = former["resolution"]
    kept = {*found, "doubts", "hardware"}
    found["figures"] = {name: value for name, value in former.items() if name not in kept}
    return found
