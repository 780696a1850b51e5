"""What the page's viewer draws: surfaces of a volume at a few levels, packed into JSON."""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from xraisim.core.fourier import radius
from xraisim.core.json_text import to_json
from xraisim.core.types import Volume
from xraisim.report.surface import surface
from xraisim.report.volumes import BRIGHTEST

_MOST_VOXELS = 72  # along an edge: finer surfaces make the page large and the viewer slow
_STEPS = 4095  # of a coordinate across the cube
_INTENSITY_QUANTILES = (0.5, 0.75, 0.9, 0.97, 0.99, 0.998)
_DENSITY_PARTS = (0.08, 0.15, 0.25, 0.4, 0.55, 0.7)
_MARGIN = 2


@dataclass(frozen=True, kw_only=True)
class Cube:
    """Values [G, G, G] float64 around the origin, and levels with what to call them.

    ``half_width``: distance from the centre to the middle of an edge voxel, in ``unit``.
    """

    name: str
    values: np.ndarray
    half_width: float
    unit: str
    levels: Sequence[tuple[float, str]]


def intensity_cube(name: str, volume: Volume, s_range: tuple[float, float]) -> Cube:
    """Return log₁₀ of an intensity where it was measured; levels are quantiles of that."""
    s = radius(volume.grid, volume.spacing)
    use = (s >= s_range[0]) & (s <= s_range[1]) & (volume.values > 0)
    log = torch.where(use, volume.values.clamp_min(1e-30).log10(), torch.nan).double().numpy()
    lit = log[np.isfinite(log)]
    levels = np.quantile(lit, _INTENSITY_QUANTILES) if len(lit) else np.empty(0)
    floor = lit.min() if len(lit) else 0.0
    # The beamstop's hole would hide the centre: it is filled with the brightest value.
    hole = s.numpy() < s_range[0]
    filled = np.where(hole & ~np.isfinite(log), lit.max(initial=0.0), np.nan_to_num(log, nan=floor))
    values, half = _cropped(filled, volume.spacing, s.numpy() <= s_range[1])
    named = [(float(level), f"{10**level:.3g} electrons²") for level in levels]
    return Cube(name=name, values=values, half_width=half, unit="1/Å", levels=named)


def density_cube(volume: Volume) -> Cube:
    """Return a density; levels are parts of its maximum."""
    density = volume.values.double().numpy()
    top = float(np.quantile(density, BRIGHTEST))
    levels = [(part * top, f"{part:.0%} of the maximum") for part in _DENSITY_PARTS]
    values, half = _cropped(density, volume.spacing, density > levels[0][0])
    return Cube(
        name="density", values=values, half_width=half / 10, unit="nm",
        levels=levels if top > 0 else (),
    )  # fmt: skip


def _cropped(values: np.ndarray, spacing: float, use: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the cube around the middle of ``use``, with a margin, at most 72 voxels wide.

    And its half-width in units of ``spacing``.
    """
    found = np.argwhere(use) if use.any() else np.array([[0, 0, 0], values.shape])
    low, high = found.min(0), found.max(0)
    far = int((high - low).max() + 1) // 2 + _MARGIN
    # Beyond the grid there is nothing: the lowest value.
    padded = np.pad(values, far, constant_values=values.min())
    start = (low + high) // 2
    part = padded[tuple(slice(first, first + 2 * far + 1) for first in start)]
    half = (len(part) // 2) * spacing
    if len(part) > _MOST_VOXELS:
        # Smoothed first: a coarser grid would turn finer lumps into false ones.
        part = gaussian_filter(part, 0.35 * len(part) / _MOST_VOXELS)
        size = (_MOST_VOXELS,) * 3
        part = torch.nn.functional.interpolate(
            torch.from_numpy(part)[None, None], size, mode="trilinear", align_corners=True
        )[0, 0].numpy()
    return part, half


def packed(cubes: Sequence[Cube]) -> str:
    """Return the surfaces of all cubes as JSON that is safe inside a ``<script>`` element."""
    return to_json([packed_cube(cube) for cube in cubes])


def packed_cube(cube: Cube) -> dict[str, Any]:
    """Return the surfaces of one cube as plain data; ``unpack.js`` reads positions and corners."""
    surfaces = []
    for level, label in cube.levels:
        found = surface(cube.values, level)
        place = np.clip(found.vertices / (len(cube.values) - 1), 0, 1)
        surfaces.append(
            {
                "label": label,
                "vertices": len(found.vertices),
                "quads": len(found.quads),
                "positions": pack(np.round(place * _STEPS).astype(np.int64)),
                "corners": pack(found.quads),
            }
        )
    return {
        "name": cube.name,
        "halfWidth": cube.half_width,
        "unit": cube.unit,
        "steps": _STEPS,
        "levels": surfaces,
    }


def pack(columns: np.ndarray) -> str:
    """Return integers [n, k], 0 ≤ value < 2³¹, as base64 text.

    Neighbours resemble each other: of every column the differences are taken, their signs folded
    into the lowest bit, their bytes sorted by significance, and all that is deflated.
    """
    steps = np.diff(columns.astype(np.int64), axis=0, prepend=0).ravel()
    folded = np.where(steps < 0, -2 * steps - 1, 2 * steps).astype("<u4")
    planes = folded.view(np.uint8).reshape(-1, 4).T.tobytes()
    return base64.b64encode(zlib.compress(planes, 9)).decode()


def unpack(text: str, columns: int) -> np.ndarray:
    """Return what :func:`pack` packed, [n, columns]; the viewer does the same."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    folded = np.ascontiguousarray(planes.reshape(4, -1).T).view("<u4")[:, 0].astype(np.int64)
    steps = np.where(folded % 2, -(folded + 1) // 2, folded // 2)
    return steps.reshape(-1, columns).cumsum(axis=0)
