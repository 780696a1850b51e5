"""CrystFEL ``.geom`` files: the panels of a measured detector geometry.

The axes are ours: z downstream, y up, x to the left when looking downstream. Corners are in pixels,
``res`` in pixels per metre, ``clen`` and ``coffset`` in metres (White et al., J. Appl. Cryst. 45,
335, 2012, and CrystFEL's manual). The library is optional: ``pip install x-rai[crystfel]``.
"""

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from xraisim.core.errors import ConfigError, reads
from xraisim.instrument.panels import Layout, Panel

_METRES = {"m": 1.0, "mm": 1e-3}
_LENGTH = re.compile(
    r"^\s*(?P<key>(?:\w+/)?clen)\s*=\s*(?P<number>[-+.\deE]+)\s*(?P<unit>m|mm)\s*$"
)
_WHOLE = re.compile(r"^(\s*\w+/(?:min|max)_[fs]s\s*=\s*\d+)\.0*\s*$")
_DIRECTION = re.compile(r"^\s*(?P<key>(?:\w+/)?[fs]s)\s*=\s*(?P<sign>[-+]?)(?P<rest>.+)$")
_SHIFT = re.compile(r"^\s*detector_shift_[xyz]\s*=")


@reads("CrystFEL geometry", error=ConfigError)
def read_geometry(path: Path | str, distance_mm: float) -> Layout:
    """Return the panels and bad regions of a ``.geom`` file, in the file's order of panels.

    ``distance_mm`` replaces a camera length that the file leaves to each event's metadata (``clen``
    is a path). Pixel masks in data files (``mask``, ``mask_file``) and ``no_index`` are not read.
    Raises :class:`ConfigError` that says what is wrong and where.
    """
    detector = _load(Path(path))
    regions = list(detector["bad"].values())
    unknown = {region["panel"] for region in regions} - {"", *detector["panels"]}
    if unknown:
        raise ConfigError(f"{path}: a bad region is on panel {min(unknown)}, which is not there")
    clen = {
        name: _clen_mm(path, name, raw, distance_mm) for name, raw in detector["panels"].items()
    }
    origin = next(iter(clen.values()))
    panels, bad = [], []
    for name, raw in detector["panels"].items():
        panels.append(_panel(path, name, raw, clen[name] + 1e3 * raw["coffset"], origin))
        bad.append(_bad_pixels(name, raw, regions))
    return Layout(panels=tuple(panels), distance_mm=origin, bad=np.concatenate(bad))


def _load(path: Path) -> dict[str, Any]:
    try:
        from cfel_fmt.geometry import load_crystfel_geometry
    except ImportError as error:
        raise ConfigError(
            f"reading {path} needs the package cfel_fmt; pip install 'x-rai[crystfel]'"
        ) from error
    try:
        text = "\n".join(_plain(line) for line in path.read_text().splitlines())
        return load_crystfel_geometry(io.StringIO(text)).detector
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the geometry file {path}: {error}") from error
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise ConfigError(f"{path} is not a CrystFEL geometry that can be used: {error}") from error


def _plain(line: str) -> str:
    """Rewrite what CrystFEL reads in another way than the library does; drop the energy."""
    text = line.split(";")[0]
    if _SHIFT.match(text):
        raise ValueError(f"{text.strip()!r} is not supported; add the shift to every corner")
    if re.match(r"\s*photon_energy\s*=", text):
        return ""  # may carry a unit, and the beam is configured apart
    if match := _LENGTH.match(text):
        return f"{match['key']} = {float(match['number']) * _METRES[match['unit']]!r}"
    if match := _DIRECTION.match(text):
        # An axis that is not named is 0; the library would leave it at its default of 0 or 1.
        return f"{match['key']} = +0.0x +0.0y +0.0z {match['sign'] or '+'}{match['rest']}"
    return _WHOLE.sub(r"\1", text)


def _clen_mm(path: Path | str, name: str, raw: dict[str, Any], distance_mm: float) -> float:
    if raw["clen_from"]:
        return distance_mm
    if not (math.isfinite(raw["clen"]) and raw["clen"] > 0):
        raise ConfigError(
            f"{path}: panel {name} has no camera length; add 'clen = 0.2' (metres), or "
            "'clen = /path' to use detector.distance_mm"
        )
    return 1e3 * raw["clen"]


def _panel(
    path: Path | str, name: str, raw: dict[str, Any], z_mm: float, origin_mm: float
) -> Panel:
    if not z_mm > 0:
        raise ConfigError(
            f"{path}: panel {name} is {z_mm:g} mm downstream of the particle; clen (or "
            "detector.distance_mm in its place) plus coffset must be positive"
        )
    pixel = 1e3 / raw["res"]
    corner = (raw["cnx"] * pixel, raw["cny"] * pixel, z_mm - origin_mm)
    try:
        return Panel(
            name=name,
            rows=raw["h"],
            columns=raw["w"],
            corner_mm=corner,
            fs_mm=tuple(raw[f"fs{axis}"] * pixel for axis in "xyz"),
            ss_mm=tuple(raw[f"ss{axis}"] * pixel for axis in "xyz"),
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _bad_pixels(name: str, raw: dict[str, Any], regions: list[dict[str, Any]]) -> np.ndarray:
    """Return the panel's bad pixels, bool [rows·columns]: limits are inclusive.

    Regions in fs and ss count pixels as the data file does; regions in x and y are in pixel widths
    from the beam and hold pixels whose centre lies within.
    """
    row, column = np.indices((raw["h"], raw["w"]))
    bad = np.zeros(row.shape, bool)
    for region in regions:
        if region["panel"] not in ("", name):
            continue
        if region["is_fsss"]:
            a, b = column + raw["orig_min_fs"], row + raw["orig_min_ss"]
            limits = [region[key] for key in ("min_fs", "max_fs", "min_ss", "max_ss")]
        else:
            a, b = (
                raw[f"cn{axis}"]
                + (column + 0.5) * raw[f"fs{axis}"]
                + (row + 0.5) * raw[f"ss{axis}"]
                for axis in "xy"
            )
            limits = [region[key] for key in ("min_x", "max_x", "min_y", "max_y")]
        bad |= (limits[0] <= a) & (a <= limits[1]) & (limits[2] <= b) & (b <= limits[3])
    return bad.reshape(-1)
