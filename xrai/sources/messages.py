"""The messages by which one process pushes patterns to another: their format, made and read.

A message is a header (a JSON object, UTF-8) and the arrays that it lists, each a frame of its own:
little-endian, C order. All have ``format``, ``version``, ``kind``, ``run`` (the pusher's own random
name) and ``arrays``: [name, dtype, shape] in the order of the frames.

| kind | header | arrays |
|---|---|---|
| experiment | ``shape`` [rows, columns], ``info`` | ``s`` f4 [P, 3] (Å⁻¹), ``gain``, ``background`` f4 [P], ``mask`` u1 [P] |
| patterns | ``first``: number of the first | ``offsets`` i8 [n + 1], ``pixel``, ``count`` u1, u2 or u4 [entries] |
| end | ``patterns``: numbers below it were pushed | |
"""  # noqa: E501

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xraisim.core.admission import MOST_PIXELS, admit_detector, admit_photons
from xraisim.core.errors import FormatError
from xraisim.core.json_text import to_json
from xraisim.core.types import Photons

FORMAT, VERSION = "x-rai stream", 1
#: what must be known of an experiment
INFO = (
    "photon_energy_ev",
    "wavelength_angstrom",
    "fluence_photons_per_um2",
    "particle_diameter_angstrom",
)
_COUNTS = ("|u1", "<u2", "<u4")
_MOST_FRAMES, _LONGEST_HEADER, _DEEPEST = 16, 2**20, 32
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The detector, flattened, and what a pattern file's header knows: ``info``.

    ``s`` float32 [P, 3] in Å⁻¹; ``gain`` float32 [P], photons per electron²; ``background`` float32
    [P], photons; ``mask`` uint8 [P], non-zero where a pixel is not used; ``shape``: rows, columns.
    """

    s: np.ndarray
    gain: np.ndarray
    background: np.ndarray
    mask: np.ndarray
    shape: tuple[int, int]
    info: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Patterns:
    """Patterns with flat detector indices; ``first``: the number of the first."""

    first: int
    photons: Photons


@dataclass(frozen=True, kw_only=True)
class End:
    """No more follow; all numbers below ``patterns`` have been pushed."""

    patterns: int


Message = Experiment | Patterns | End


def encode(message: Message, run: str) -> list[bytes]:
    """Return the frames of a message of the pusher ``run``."""
    if isinstance(message, Experiment):
        fields: dict[str, Any] = {"shape": message.shape, "info": message.info}
        names = {"s": "<f4", "gain": "<f4", "background": "<f4", "mask": "|u1"}
        arrays = {name: getattr(message, name).astype(dtype) for name, dtype in names.items()}
    elif isinstance(message, Patterns):
        photons, fields = message.photons, {"first": message.first}
        arrays = {"offsets": photons.offsets.astype("<i8")}
        arrays |= {name: _narrow(getattr(photons, name)) for name in ("pixel", "count")}
    else:
        fields, arrays = {"patterns": message.patterns}, {}
    listed = [[name, values.dtype.str, values.shape] for name, values in arrays.items()]
    kind = type(message).__name__.lower()
    header = {"format": FORMAT, "version": VERSION, "kind": kind, "run": run, "arrays": listed}
    return [
        to_json(header | fields, ensure_ascii=False, default=lambda number: number.item()).encode(),
        *(values.tobytes() for values in arrays.values()),
    ]


def decode(frames: Sequence[bytes]) -> tuple[str, Message]:
    """Return the pusher's name and the message; raises :class:`FormatError` for anything else."""
    _check_size(frames)
    header = _header(frames[0])
    try:
        arrays = _arrays(header["arrays"], frames[1:])
        message = _KINDS[header["kind"]](header, arrays)
        return str(header["run"]), message
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"garbled message of {FORMAT!r}: {error!r}; {_ADVICE}") from error


_ADVICE = "push with xrai push of the same version, and nothing else to this address"


def _check_size(frames: Sequence[bytes]) -> None:
    """Refuse, before anything is parsed, what no header of ours can be."""
    if len(frames) > _MOST_FRAMES:
        raise FormatError(f"a message of {len(frames):,} frames came in; {_ADVICE}")
    if len(frames[0]) > _LONGEST_HEADER or _depth(frames[0]) > _DEEPEST:
        raise FormatError(
            f"a header longer than {_LONGEST_HEADER:,} bytes or nested deeper than {_DEEPEST} came "
            f"in; {_ADVICE}"
        )


def _depth(text: bytes) -> int:
    """Return how deep brackets are nested outside of strings."""
    characters = np.frombuffer(_STRING.sub(b"", text), np.uint8)
    opens, closes = np.isin(characters, list(b"[{")), np.isin(characters, list(b"]}"))
    return int(np.cumsum(opens.astype(np.int64) - closes).max(initial=0))


def _header(frame: bytes) -> dict[str, Any]:
    try:
        header = json.loads(frame)
        found = header["format"], header["version"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(f"a message without a header came in: {error!r}; {_ADVICE}") from error
    if found != (FORMAT, VERSION):
        raise FormatError(
            f"found a message of {found[0]!r}, version {found[1]}; expected {FORMAT!r}, version "
            f"{VERSION}; {_ADVICE}"
        )
    return header


def _arrays(listed: list[Any], frames: Sequence[bytes]) -> dict[str, np.ndarray]:
    if len(listed) != len(frames):
        raise ValueError(f"{len(frames)} arrays came, the header lists {len(listed)}")
    arrays = {}
    for (name, dtype, shape), frame in zip(listed, frames, strict=True):
        if dtype not in ("<f4", "<i8", *_COUNTS):
            raise ValueError(f"{name} is of type {dtype}")
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"{name} has shape {shape}")
        if math.prod(shape) * np.dtype(dtype).itemsize != len(frame):
            raise ValueError(f"{name} of {len(frame)} bytes has shape {shape} of {dtype}")
        arrays[name] = np.frombuffer(frame, dtype).reshape(shape)
    return arrays


def _experiment(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Experiment:
    rows, columns = (int(n) for n in header["shape"])
    for name, dtype in (("s", "<f4"), ("gain", "<f4"), ("background", "<f4"), ("mask", "|u1")):
        _require(arrays[name].dtype.str == dtype, f"{name} is of type {arrays[name].dtype}")
    info: dict[str, Any] = {key: float(header["info"][key]) for key in INFO}
    for key, value in info.items():
        _require(0 < value < math.inf, f"{key} is {value}, not a positive number")
    info |= {"detector_shape": (rows, columns), "provenance": dict(header["info"]["provenance"])}
    wavelength = info["wavelength_angstrom"]
    whole = admit_detector(arrays, (rows, columns), "what came in", wavelength)
    return Experiment(**whole, shape=(rows, columns), info=info)


def _patterns(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Patterns:
    offsets, pixel, count = (arrays[name] for name in ("offsets", "pixel", "count"))
    for name in ("pixel", "count"):
        _require(arrays[name].dtype.str in _COUNTS, f"{name} is of type {arrays[name].dtype}")
    _require(offsets.dtype.str == "<i8", f"offsets are of type {offsets.dtype}")
    _require(offsets.ndim == 1 and len(offsets) > 1, f"offsets have shape {offsets.shape}")
    _require(offsets[0] == 0, f"offsets begin with {offsets[0]}")
    photons = admit_photons(offsets, pixel, count, MOST_PIXELS, "what came in")
    return Patterns(first=_number(header["first"]), photons=photons)


def _end(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> End:
    return End(patterns=_number(header["patterns"]))


_KINDS: dict[str, Callable[[dict[str, Any], dict[str, np.ndarray]], Message]] = {
    "experiment": _experiment,
    "patterns": _patterns,
    "end": _end,
}


def _require(fine: bool, what: str) -> None:
    if not fine:
        raise ValueError(what)


def _number(value: Any) -> int:
    _require(isinstance(value, int) and value >= 0, f"{value!r} is not a number of patterns")
    return value


def _narrow(values: np.ndarray) -> np.ndarray:
    """Return whole numbers from 0 in the narrowest type that a message may hold."""
    return values.astype(np.min_scalar_type(values.max(initial=0)).newbyteorder("<"))
