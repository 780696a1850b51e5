"""The text of CrystFEL ``.geom`` files: panels, bad regions, and what is set for the whole.

Lines are ``key = value``, ``panel/key = value`` or ``bad…/key = value``, comments begin with ``;``.
A key without a panel holds for the panels that begin after it (CrystFEL's crystfel_geometry(5)).
"""

import difflib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from xraisim.core.errors import ConfigError, reading

USED = {
    "min_fs", "max_fs", "min_ss", "max_ss", "corner_x", "corner_y", "fs", "ss", "res", "clen",
    "coffset", "data", "no_index", "mask_edge_pixels",
}  # fmt: skip
# Of indexing and refinement, or words of the same: they say nothing about a pixel.
_IDLE = re.compile(
    r"(rigid_group|group)(_.*)?|badrow_direction|peak_(list|list_type|info_location)|"
    r"photon_energy_scale|photon_energy_bandwidth|bandwidth|clen_for_centering|dim\d+"
)
_LEFT_OUT = re.compile(
    r"mask(\d+)?(_(file|data|good|bad|goodbits|badbits))?|adu_per_(photon|eV)|max_adu|"
    r"saturation_map(_file)?|flag_(lessthan|morethan|equal)|photon_energy|wavelength|"
    r"electron_voltage"
)
_DOWNSTREAM = ("z", "+z", "1z", "+1z", "1.0z", "+1.0z")
_MOVES = ("detector_shift_x", "detector_shift_y", "detector_shift_z")
_LARGEST_WHOLE = 16_384  # rows, or columns, of a frame; the largest have some 8,192
_BAD = ("panel", "min_fs", "max_fs", "min_ss", "max_ss", "min_x", "max_x", "min_y", "max_y")
_TERM = re.compile(r"([+-]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)?)([xyz])")
_TERMS = re.compile(f"(?:{_TERM.pattern})+")
_LENGTH = re.compile(r"([-+.\deE]+)\s*(m|mm|)")


@dataclass(frozen=True, kw_only=True)
class Section:
    """The keys of a panel, or of a bad region, of ``path``; values are asked for by their kind."""

    path: Path
    name: str
    values: dict[str, str]

    def fail(self, key: str, expected: str) -> NoReturn:
        """Raise :class:`ConfigError` about a key."""
        found = f"is {self.values[key]!r}" if key in self.values else "is missing"
        raise ConfigError(f"{self.path}: {self.name}/{key} {found}; expected {expected}")

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        if key not in self.values and default is not None:
            return default
        try:
            value = float(self.values.get(key, ""))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.fail(key, "a number")
        return value

    def whole(self, key: str, default: float | None = None) -> int:
        """Return a whole number of zero or more, which may be written as 127.0."""
        value = self.number(key, default)
        if value != int(value) or not 0 <= value <= _LARGEST_WHOLE:
            self.fail(key, f"a whole number from 0 to {_LARGEST_WHOLE}")
        return int(value)

    def metres(self, key: str) -> float | str:
        """Return a length in metres, or the path at which data files have it."""
        text = self.values.get(key, "")
        if match := _LENGTH.fullmatch(text):
            try:
                return float(match[1]) * (1e-3 if match[2] == "mm" else 1.0)
            except ValueError:
                self.fail(key, "a length in m or mm, or a path in the data file")
        if not text.startswith("/"):
            self.fail(key, "a length such as 0.2 (m) or 200 mm, or a path in the data file")
        return text

    def direction(self, key: str) -> tuple[float, float, float]:
        """Return a vector such as ``+0.002x -0.9z``; an axis that is not named is 0."""
        text = self.values.get(key, "").replace(" ", "")
        if not _TERMS.fullmatch(text):
            self.fail(key, "a direction such as +0.002x -0.999998y")
        vector = dict.fromkeys("xyz", 0.0)
        for sign, size, axis in _TERM.findall(text):
            vector[axis] = float(f"{sign}{size or 1}")
            if not math.isfinite(vector[axis]):
                self.fail(key, "finite components")
        return vector["x"], vector["y"], vector["z"]

    def flag(self, key: str) -> bool:
        """Return yes or no."""
        return self.values.get(key, "0").lower() not in ("0", "false", "no")


@dataclass(kw_only=True)
class GeometryText:
    """What a file says: ``panels`` in its order, ``bad`` regions; ``left_out``, keys not used."""

    panels: list[Section] = field(default_factory=list)
    bad: list[Section] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def read_text(path: Path) -> GeometryText:
    """Read a ``.geom`` file; raises :class:`ConfigError` that says what is wrong and where."""
    with reading(path, "CrystFEL geometry", error=ConfigError):
        lines = path.read_text(encoding="utf-8").splitlines()
    found, default = GeometryText(), dict[str, str]()
    panels: dict[str, Section] = {}
    regions: dict[str, Section] = {}
    for number, line in enumerate(lines, 1):
        text = line.split(";")[0].strip()
        if not text:
            continue
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or not value:
            raise ConfigError(f"{path}, line {number}: {text!r}; expected 'key = value'")
        name, slash, inner = key.rpartition("/")
        if not slash:
            default[key] = value
        elif name.startswith("bad"):
            regions.setdefault(name, Section(path=path, name=name, values={})).values[inner] = value
            if inner not in _BAD:
                regions[name].fail(inner, f"one of {', '.join(_BAD)}")
        else:
            section = panels.setdefault(name, Section(path=path, name=name, values=dict(default)))
            section.values[inner] = value
        _note(path, inner if slash else key, value, found, region=name.startswith("bad"))
    if not panels:
        raise ConfigError(
            f"{path} is not a CrystFEL geometry: no panels; expected lines such as 'p0/min_fs = 0'"
        )
    found.panels, found.bad = list(panels.values()), list(regions.values())
    return found


def _note(path: Path, key: str, value: str, found: GeometryText, *, region: bool) -> None:
    """Note a key that is not used, and refuse one that moves pixels."""
    if region or key in USED or _IDLE.fullmatch(key):
        return
    if key in _MOVES or (key == "rail_direction" and value.replace(" ", "") not in _DOWNSTREAM):
        raise ConfigError(
            f"{path}: '{key} = {value}' is not supported; add the shift to every corner"
        )
    if key == "rail_direction" or (key == "adu_per_photon" and value in ("1", "1.0")):
        return
    if _LEFT_OUT.fullmatch(key):
        found.left_out[key] = value
        return
    near = difflib.get_close_matches(key, USED, n=1)
    found.left_out[key] = f"{value} (unknown{f'; is it {near[0]}?' if near else ''})"
