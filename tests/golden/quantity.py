"""Quantities that results consist of, and how each kind is compared.

A quantity is kept as plain JSON with six digits. Where a result was made on the same kind of
processor, only the last of them may differ; elsewhere rounding sends random draws and searches on
other ways, and the wider tolerance of the kind holds.
"""

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xraisim.core import rotations, so3
from xraisim.core.symmetry import point_group

DIGITS = 6
CURVE, POSES_DEG, RELATIVE = 1e-3, 0.02, 1e-3


@dataclass(frozen=True)
class Quantity:
    """``kind`` names the comparison, ``values`` are what is kept.

    ``elsewhere``: the tolerance on another processor, by default as here.
    """

    kind: str
    values: Any
    elsewhere: float | None = None
    about: dict[str, Any] = field(default_factory=dict)


def exact(values: Any) -> Quantity:
    """Return text, counts or hashes, which must be the same everywhere."""
    return Quantity("exact", values)


def digest(*arrays: Any) -> Quantity:
    """Return a hash over arrays, the same everywhere: for what no rounding touches."""
    return exact(_hash(*arrays))


def drawn(counts: Any, *arrays: Any) -> Quantity:
    """Return photons per pattern, with a hash that must be the same on the same processor."""
    return Quantity("drawn", np.asarray(counts).tolist(), 0.03, {"digest": _hash(*arrays)})


def figures(values: dict[str, float | None], elsewhere: float | None = None) -> Quantity:
    """Return numbers by name, compared relative to their size."""
    return Quantity("figures", {k: _rounded(v) for k, v in values.items()}, elsewhere)


def curve(values: Any, elsewhere: float | None = None) -> Quantity:
    """Return correlations or other numbers of order one, compared absolutely."""
    return Quantity("curve", _rounded(values), elsewhere)


def points(values: Any, elsewhere: float | None = None) -> Quantity:
    """Return samples of a volume, compared in units of their root mean square."""
    return Quantity("points", _rounded(values), elsewhere)


def poses(quaternions: Any, elsewhere: float | None = None) -> Quantity:
    """Return orientations, compared in degrees."""
    return Quantity("poses", _rounded(quaternions), elsewhere)


def turned_poses(quaternions: Any, elsewhere: float, group: str = "C1") -> Quantity:
    """Return orientations known up to one global rotation; mates and the group count as the same.

    The tolerance elsewhere is one of their median.
    """
    return Quantity("turned poses", _rounded(quaternions), elsewhere, {"group": group})


def _rounded(values: Any) -> Any:
    if values is None or isinstance(values, str):
        return values
    array = np.asarray(values, dtype=np.float64)
    text = np.vectorize(lambda one: float(f"{one:.{DIGITS}g}"), otypes=[float])(array)
    return (
        [None if not np.isfinite(one) else one for one in text.reshape(-1)]
        if (not np.isfinite(text).all() and text.ndim == 1)
        else text.tolist()
    )


def _hash(*arrays: Any) -> str:
    found = hashlib.sha256()
    for one in arrays:
        found.update(np.ascontiguousarray(one).tobytes())
    return found.hexdigest()[:16]


def machine() -> str:
    """Return what decides how numbers are rounded: the processor and torch's vector width."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((one.split(":", 1)[1].strip() for one in lines if "model name" in one), model)
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


def differences(name: str, old: Quantity, new: Quantity, here: bool) -> list[str]:
    """Return a line for what moved between two results, none within the tolerance."""
    if old.kind != new.kind:
        return [f"{name}: was {old.kind}, is {new.kind}"]
    if np.shape(old.values) != np.shape(new.values):
        return [f"{name}: shape {np.shape(old.values)} became {np.shape(new.values)}"]
    return _COMPARE[old.kind](name, old, new, here)


def _exact(name: str, old: Quantity, new: Quantity, here: bool) -> list[str]:
    return [] if old.values == new.values else [f"{name}: {old.values!r} became {new.values!r}"]


def _drawn(name: str, old: Quantity, new: Quantity, here: bool) -> list[str]:
    if here and old.about != new.about:
        return [f"{name}: the photons are not the same ({old.about} became {new.about})"]
    before, now = (np.asarray(one.values, dtype=float) for one in (old, new))
    return _within(name, np.abs(now - before) / np.maximum(before, 30), old, here, RELATIVE)


def _figures(name: str, old: Quantity, new: Quantity, here: bool) -> list[str]:
    found = []
    for key in sorted({*old.values, *new.values}):
        before, now = old.values.get(key, "absent"), new.values.get(key, "absent")
        if before == now:
            continue
        if isinstance(before, str | None) or isinstance(now, str | None):
            found.append(f"{name}, {key}: {before} became {now}")
            continue
        off = np.abs(now - before) / max(abs(before), 1e-30)
        found += [f"{line} ({before:g} became {now:g})" for line in
                  _within(f"{name}, {key}", off, old, here, RELATIVE)]  # fmt: skip
    return found


def _curve(name: str, old: Quantity, new: Quantity, here: bool) -> list[str]:
    before, now = (np.asarray(one.values, dtype=float) for one in (old, new))
    lost = np.isnan(before) != np.isnan(now)
    return _within(
        name, np.where(lost, np.inf, np.nan_to_num(np.abs(now - before))), old, here, CURVE
    )


def _points(name: str, old: Quantity, new: Quantity, here: bool) -> list[str]:
    before, now = (np.asarray(one.values, dtype=float) for one in (old, new))
    scale = np.sqrt(np.mean(before**2)) or 1.0
    return _within(name, np.abs(now - before) / scale, old, here, RELATIVE)


def _poses(name: str, old: Quantity, new: Quantity, here: bool) -> list[str]:
    before, now = (torch.tensor(one.values, dtype=torch.float64) for one in (old, new))
    off = torch.rad2deg(rotations.angle_between(now, before))
    return _within(name, off.numpy(), old, here, POSES_DEG, "°")


def _turned_poses(name: str, old: Quantity, new: Quantity, here: bool) -> list[str]:
    before, now = (torch.tensor(one.values, dtype=torch.float64) for one in (old, new))
    group = point_group(old.about["group"])
    if here:
        return _poses(name, old, new, here)
    between = rotations.multiply(rotations.conjugate(before), now)
    off = [_apart(rotations.multiply(before, turn[None]), now, group) for turn in between[::7]]
    middle = min(float(one.median()) for one in off)
    return _within(f"{name}, median", middle, old, here, POSES_DEG, "°")


def _apart(a: torch.Tensor, b: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Return the angles (degrees) between rotations, modulo mates and the point group."""
    each = [
        rotations.angle_between(rotations.multiply(one, element[None]), b)
        for one in (a, so3.in_plane_mate(a))
        for element in group
    ]
    return torch.rad2deg(torch.stack(each).amin(0))


def _within(
    name: str, off: Any, old: Quantity, here: bool, tolerance: float, unit: str = ""
) -> list[str]:
    allowed = tolerance if here or old.elsewhere is None else old.elsewhere
    off = np.atleast_1d(off)
    largest = float(np.max(off, initial=0.0))
    if largest <= allowed:
        return []
    many = f" ({int((off > allowed).sum())} of {off.size})" if off.size > 1 else ""
    return [f"{name}: moved by {largest:.3g}{unit}, allowed are {allowed:g}{unit}{many}"]


_COMPARE: dict[str, Callable[[str, Quantity, Quantity, bool], list[str]]] = {
    "exact": _exact,
    "drawn": _drawn,
    "figures": _figures,
    "curve": _curve,
    "points": _points,
    "poses": _poses,
    "turned poses": _turned_poses,
}
