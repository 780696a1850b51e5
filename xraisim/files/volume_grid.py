"""From what a volume file holds to the project's volume: a cube of odd size about its middle voxel.

An even axis of N voxels has its origin at voxel N // 2 (numpy's and every map's convention), so
that its first plane has no counterpart. An intensity loses that plane; a density is padded with
zeros. A density in a box is padded to a cube; an intensity that is no cube is refused, for what
lies beyond a measurement is not zero.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from xraisim.core.errors import FormatError
from xraisim.core.types import Volume

UNITS = {"intensity": ("1/angstrom", "electrons^2"), "density": ("angstrom", "relative density")}
#: voxels along an edge; the largest float32 volume has 4 GiB
LARGEST = 1024
_SAME = 1e-3
_SYMBOL = {"intensity": "s", "density": "r"}


@dataclass(frozen=True, kw_only=True)
class Raw:
    """What a file holds: ``values``, and what it says of them, None where it is silent.

    ``ours``: the file says its kind, and neither that nor its spacing is open to correction.
    ``origin``: voxel of s = 0 or r = 0.
    """

    values: Shaped[np.ndarray, "x y z"]
    kind: str | None
    spacing: float | None
    ours: bool = False
    origin: tuple[float, float, float] | None = None


def require_size(name: Path | str, shape: tuple[int, ...]) -> None:
    """Raise :class:`FormatError` unless ``shape`` is that of a volume that fits into memory."""
    if len(shape) != 3 or min(shape) < 1:
        raise FormatError(f"{name} has shape {shape}; expected a volume of three dimensions")
    if max(shape) > LARGEST:
        raise FormatError(f"{name} has shape {shape}; expected at most {LARGEST} voxels an edge")


def check_volume(volume: Volume, name: str) -> None:
    """Raise :class:`FormatError` unless ``volume`` is what every part of the project expects."""
    shape = tuple(volume.values.shape)
    if len(shape) != 3 or len(set(shape)) != 1 or shape[0] % 2 == 0:
        raise FormatError(f"{name} has shape {shape}; expected a cube of odd size")
    if volume.kind not in UNITS:
        raise FormatError(f"{name} has kind {volume.kind!r}; expected one of {', '.join(UNITS)}")
    if not 0 < volume.spacing < math.inf:
        raise FormatError(f"{name} has spacing {volume.spacing}; expected a positive number")
    bad = int((~torch.isfinite(volume.values)).sum())
    if bad:
        raise FormatError(
            f"{name} has {bad:,} values that are not finite numbers; mask them or set them to zero"
        )


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What the user says of a file: ``kind``, ``spacing``, or the width of the ``field``."""

    kind: str | None = None
    spacing: float | None = None
    field: float | None = None


def to_volume(name: Path, raw: Raw, stated: Stated) -> Volume:
    """Return the volume of a file."""
    require_size(name, raw.values.shape)
    kind = _settle_kind(name, raw, stated.kind)
    spacing = _settle_spacing(name, raw, kind, stated)
    values = torch.from_numpy(_real(name, raw.values))
    if kind == "intensity":
        _require_middle(name, raw)
        values = _odd_intensity(name, values)
    else:
        values = _odd_density(values)
    volume = Volume(values=values.contiguous(), spacing=spacing, kind=kind)
    check_volume(volume, str(name))
    return volume


def _settle_kind(name: Path, raw: Raw, kind: str | None) -> str:
    if raw.ours and kind not in (None, raw.kind):
        raise FormatError(f"{name} says that it is of kind {raw.kind!r}, not {kind!r}")
    found = kind or raw.kind
    if found is None:
        raise FormatError(
            f"{name} does not say whether it is an intensity or a density; state it, with "
            "--kind intensity where a command has that option"
        )
    return found


def _settle_spacing(name: Path, raw: Raw, kind: str, stated: Stated) -> float:
    unit = {"intensity": "Å⁻¹", "density": "Å"}.get(kind, "")
    if raw.spacing is None or (stated.spacing is not None and not raw.ours):
        if stated.spacing is not None:
            return stated.spacing
        if stated.field is not None:
            return stated.field / max(raw.values.shape)
        raise FormatError(
            f"{name} does not say its spacing; state it in {unit}, with --spacing where a command "
            "has that option"
        )
    if stated.spacing is not None and abs(stated.spacing / raw.spacing - 1) > _SAME:
        raise FormatError(
            f"{name} says that its spacing is {raw.spacing:.6g} {unit}, not {stated.spacing:.6g}"
        )
    return raw.spacing


def _real(name: Path, values: Shaped[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    """Return the values in this machine's byte order."""
    if values.dtype.kind not in "fiub":
        raise FormatError(
            f"{name} has values of type {values.dtype}; expected real numbers (the square of the "
            "modulus of a structure factor, or a density)"
        )
    with np.errstate(over="ignore"):  # becomes infinite, which is named
        return np.array(values, dtype=np.float32, order="C")


def _require_middle(name: Path, raw: Raw) -> None:
    """Raise where a header puts s = 0 elsewhere than voxel N // 2."""
    if raw.origin is None:
        return
    middle = tuple(length // 2 for length in raw.values.shape)
    if max(abs(a - b) for a, b in zip(raw.origin, middle, strict=True)) > 0.5:
        found = ", ".join(f"{value:g}" for value in raw.origin)
        raise FormatError(
            f"{name} says that s = 0 is at voxel ({found}); expected the middle, {middle}. Centre "
            "the volume (numpy.roll), or set origin and nxstart to zero if they mean nothing"
        )


def _odd_intensity(name: Path, values: Tensor) -> Tensor:
    if len(set(values.shape)) != 1:
        raise FormatError(
            f"{name} is an intensity of shape {tuple(values.shape)}; expected a cube, as nothing "
            "is known of what lies beyond: cut it to its shortest edge"
        )
    return values if values.shape[0] % 2 else values[1:, 1:, 1:]


def _odd_density(values: Tensor) -> Tensor:
    grid = max(values.shape)
    grid += 1 - grid % 2
    margins: list[int] = []
    for length in reversed(values.shape):
        before = grid // 2 - length // 2
        margins += [before, grid - length - before]
    return torch.nn.functional.pad(values, margins) if any(margins) else values
