"""Files of a run directory, read while the run may still be writing them."""

import math
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xraisim.core.errors import FormatError, reading
from xraisim.core.types import Volume
from xraisim.files.result import half_paths, object_of
from xraisim.files.volumes import read_attributes, read_volume


def read_events(path: Path) -> tuple[dict[str, Any], ...]:
    """Read a file of JSON objects, one a line; a last line that is still being written is left.

    Raises :class:`FormatError` for a line that is not a JSON object.
    """
    with reading(path, "file of JSON lines"):
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return tuple(object_of(f"{path}, line {number}", line) for number, line in enumerate(lines, 1))


def read_config(path: Path) -> str:
    """Read a configuration as TOML text, empty if there is no file."""
    if not path.exists():
        return ""
    with reading(path, "TOML file"):
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
        return text


def read_intensity(path: Path) -> Volume:
    """Read a volume; raises :class:`FormatError` if it is no intensity."""
    volume = read_volume(path)
    if volume.kind != "intensity":
        raise FormatError(f"{path} holds a {volume.kind}; expected an intensity")
    return volume


def read_halves(directory: Path) -> tuple[Volume, Volume] | None:
    """Read the intensities of a run's two half-sets; None unless both are there."""
    first, second = half_paths(directory)
    if not (first.exists() and second.exists()):
        return None
    halves = read_intensity(first), read_intensity(second)
    if len({(half.grid, half.spacing) for half in halves}) > 1:
        raise FormatError(f"{first} and {second} differ in their grids; they are not of one run")
    return halves


def read_s_range(path: Path, volumes: Iterable[Volume]) -> tuple[float, float]:
    """Return |s| of the innermost and outermost pixel used, Å⁻¹, as far as ``volumes`` reach.

    What the volume file at ``path`` states, or all that its volume reaches.
    """
    known = read_attributes(path) if path.suffix == ".h5" else {}
    return s_range(known, volumes)


def s_range(known: dict[str, Any], volumes: Iterable[Volume]) -> tuple[float, float]:
    """Return (``s_min_per_angstrom``, ``s_max_per_angstrom``) within the reach of volumes."""
    reach = min((v.grid // 2 - 1) * v.spacing for v in volumes)
    inner = _number(known, "s_min_per_angstrom", "the volume")
    outer = _number(known, "s_max_per_angstrom", "the volume")
    inner, outer = inner or 0.0, reach if outer is None else min(outer, reach)
    if not 0 <= inner < outer:
        raise FormatError(
            f"the volume is of |s| from {inner:g} to {outer:g} Å⁻¹; expected a range of positive s"
        )
    return inner, outer


def figure_of(events: Iterable[Mapping[str, Any]], name: str) -> np.ndarray:
    """Return a figure of every event, float64; NaN where it is not known."""
    values = [_number(event, name, "metrics.jsonl") for event in events]
    return np.array([math.nan if value is None else value for value in values], float)


def curve_of(event: Mapping[str, Any], name: str) -> np.ndarray:
    """Return a list of figures of an event, float64; NaN where one is not known."""
    values = event[name]
    if not isinstance(values, list):
        raise FormatError(f"metrics.jsonl: {name} is {values!r:.60}; expected a list of numbers")
    return figure_of([{name: value} for value in values], name)


def _number(mapping: Mapping[str, Any], name: str, where: str) -> float | None:
    value = mapping.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormatError(f"{where}: {name} is {value!r:.60}; expected a number")
    return math.inf if abs(value) > sys.float_info.max else float(value)
