"""Files of a run directory, read while the run may still be writing them."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import Volume
from xraisim.files.volumes import read_attributes, read_volume


def read_events(path: Path) -> tuple[dict[str, Any], ...]:
    """Read a file of JSON objects, one a line; a last line that is still being written is left.

    Raises :class:`FormatError` for a line that is not a JSON object.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if text and not text.endswith("\n"):
        del lines[-1]
    try:
        return tuple(dict(json.loads(line)) for line in lines)
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise FormatError(f"{path} holds a line that is not JSON: {error}") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a file of one JSON object, empty if there is no file."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is not a JSON object: {error}") from error


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays over patterns of an HDF5 file, none if there is no file.

    Raises :class:`FormatError` for a damaged file, and for columns of different lengths.
    """
    if not path.exists():
        return {}
    try:
        with h5py.File(path, "r") as file:
            data = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
            found = {name: item[()] for name, item in data.items() if item.ndim}
    except OSError as error:
        raise FormatError(f"{path} is not a readable file of poses: {error}") from error
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise FormatError(f"{path} holds columns of different lengths: {lengths}")
    return found


def read_intensity(path: Path) -> Volume:
    """Read a volume; raises :class:`FormatError` if it is no intensity."""
    volume = read_volume(path)
    if volume.kind != "intensity":
        raise FormatError(f"{path} holds a {volume.kind}; expected an intensity")
    return volume


def read_halves(first: Path, second: Path) -> tuple[Volume, Volume] | None:
    """Read the intensities of two half-sets; None unless both are there."""
    if not (first.exists() and second.exists()):
        return None
    return read_intensity(first), read_intensity(second)


def read_s_range(path: Path, volumes: Iterable[Volume]) -> tuple[float, float]:
    """Return |s| of the innermost and outermost pixel used, Å⁻¹, as far as ``volumes`` reach.

    What the volume file at ``path`` states, or all that its volume reaches.
    """
    known = read_attributes(path) if path.suffix == ".h5" else {}
    return s_range(known, volumes)


def s_range(known: dict[str, Any], volumes: Iterable[Volume]) -> tuple[float, float]:
    """Return (``s_min_per_angstrom``, ``s_max_per_angstrom``) within the reach of volumes."""
    reach = min((v.grid // 2 - 1) * v.spacing for v in volumes)
    outer = min(float(known.get("s_max_per_angstrom", reach)), reach)
    return float(known.get("s_min_per_angstrom", 0.0)), outer


def figure_of(events: Iterable[dict[str, Any]], name: str) -> np.ndarray:
    """Return a figure of every event, float64; NaN where it is not known."""
    values = [event.get(name) for event in events]
    return np.array([math.nan if value is None else value for value in values], float)
