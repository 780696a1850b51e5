"""Slices as images, and surfaces of the density for the page's 3D views."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.image import imsave

from benchmarks.cubes import Cubes
from benchmarks.report.shown import Shown, first_of_each
from benchmarks.report.style import Look
from xraisim.report import viewer

TRUTH = "truth"
_TRUTH_COLOUR = "#a8b0b8"
_LEVEL = 0.22  # of the largest true density: the surface of the truth
_BRIGHTEST = 0.998  # quantile of a density that is black


def columns(runs: Sequence[Shown], look: Mapping[str, Look]) -> list[dict[str, Any]]:
    """Return what to show of the truth, then of each method's first run: images and a surface."""
    found = first_of_each(runs)
    if not found:
        return []
    first = found[0][1]
    limits = log_range(first.intensity_truth)
    cubes = next((one.cubes for one, _ in found if one.cubes is not None), None)
    made = [
        {
            "label": TRUTH, "note": "", "colour": _TRUTH_COLOUR,
            **_images(first.intensity_truth, first.density_truth, limits),
            "surface": _surface(cubes, cubes.density_truth, _LEVEL) if cubes else None,
        }
    ]  # fmt: skip
    for one, slices in found:
        own = one.cubes
        made.append(
            {
                "label": one.record.label, "note": f"seed {one.record.seed}",
                "colour": look[one.record.label].colour,
                **_images(slices.intensity, slices.density, limits),
                "surface": _surface(own, own.density, _same_volume(own)) if own else None,
            }
        )  # fmt: skip
    return made


def scale_note(runs: Sequence[Shown]) -> str:
    """Say how far slices reach; empty where there are none."""
    found = first_of_each(runs)
    if not found:
        return ""
    first = found[0][1]
    return (
        f"Intensity on a log scale, out to 1/{1 / first.reach_per_angstrom:.1f} Å; density "
        f"{first.reach_angstrom / 5:.1f} nm across."
    )


def log_range(intensity: np.ndarray) -> tuple[float, float]:
    """Return the range of log₁₀ that a true intensity [n, n] is shown in."""
    lit = np.log10(intensity[intensity > 0])
    return float(np.quantile(lit, 0.05)), float(lit.max())


def log_image(intensity: np.ndarray) -> np.ndarray:
    """Return log₁₀ of an intensity, −∞ where it is not positive."""
    with np.errstate(divide="ignore"):
        return np.log10(np.maximum(intensity, 0))


def brightest(density: np.ndarray) -> float:
    """Return the density that is shown black."""
    return max(float(np.quantile(density, _BRIGHTEST)), 1e-30)


def _images(
    intensity: np.ndarray, density: np.ndarray, limits: tuple[float, float]
) -> dict[str, str]:
    low, high = limits
    bright = np.maximum(log_image(intensity), low)
    return {
        "intensity": _png(bright, "magma", low, high),
        "density": _png(density, "gray_r", 0, brightest(density)),
    }


def _png(image: np.ndarray, colours: str, low: float, high: float) -> str:
    """Return an image [x, y] as a ``data:`` address, y upwards."""
    buffer = io.BytesIO()
    imsave(buffer, image.T, cmap=colours, vmin=low, vmax=high, origin="lower", format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _same_volume(cubes: Cubes) -> float:
    """Return the level at which a density encloses as much as the surface of the truth does."""
    share = float((cubes.density_truth > _LEVEL).mean())
    return float(np.quantile(cubes.density.astype(np.float32), 1 - share))


def _surface(cubes: Cubes, density: np.ndarray, level: float) -> dict[str, Any]:
    return viewer.packed_cube(
        viewer.Cube(
            name="density", values=density.astype(np.float64),
            half_width=cubes.reach_angstrom / 10, unit="nm", levels=[(level, "")],
        )
    )  # fmt: skip
