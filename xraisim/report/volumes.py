"""Pictures of volumes: central slices, radial profile, agreement of the half-sets; a density."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from xraisim.core.errors import FormatError
from xraisim.core.fourier import radius
from xraisim.core.halves import LEVEL, agreement
from xraisim.core.radial import shell_means, shell_s
from xraisim.core.types import Volume
from xraisim.figure_axes import COLOURS, resolution_axis, resolution_ticks
from xraisim.files.events import METRICS
from xraisim.report.run import curve_of

MOST_CLASSES = 6
_MOST_CURVES = 9
_CURVE = "icc_half"  # in a line of a log, with s_per_angstrom
_RING_ROOM = 0.2  # of the reach, between two rings
_PLANES = (("x", "y", 2), ("x", "z", 1), ("y", "z", 0))
BRIGHTEST = 0.9998  # quantile of a density that stands for its maximum: one voxel says little
_LEAST = 0.03  # of the maximum: less is empty space, which is cut away


def slices(volumes: Mapping[str, Volume], s_range: tuple[float, float]) -> Figure:
    """Return the three central planes of intensities, logarithmic, with rings of resolution.

    ``s_range``: |s| of the innermost and outermost pixel used, Å⁻¹.
    """
    shown = list(volumes.items())[:MOST_CLASSES]
    figure = Figure(figsize=(12, 4.1 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 3, squeeze=False)
    for row, (name, volume) in zip(grid, shown, strict=True):
        log = _log_measured(volume, s_range)
        lit = log[np.isfinite(log)]
        low, high = np.quantile(lit, [0.02, 0.9995]) if len(lit) else (0.0, 1.0)
        for axes, (across, up, normal) in zip(row, _PLANES, strict=True):
            plane = np.take(log, volume.grid // 2, axis=normal)
            edge = (volume.grid // 2 + 0.5) * volume.spacing
            image = axes.imshow(
                plane.T, origin="lower", extent=(-edge, edge, -edge, edge), cmap="magma",
                vmin=low, vmax=high, interpolation="nearest",
            )  # fmt: skip
            _rings(axes, s_range[1])
            axes.set(facecolor="0.85", xticks=[], yticks=[])
            axes.set(xlabel=f"s {across} (1/Å)", ylabel=f"s {up} (1/Å)")
        if len(shown) > 1:
            row[0].set_title(name, loc="left", fontsize=10)
        figure.colorbar(image, ax=row[2], label="log₁₀ intensity (electrons²)", shrink=0.85)
    return figure


def profile(volumes: Mapping[str, Volume], s_range: tuple[float, float]) -> Figure:
    """Return the mean intensity over |s|, a line for each volume."""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(color=COLOURS)
    for name, volume in volumes.items():
        s = shell_s(volume.grid, volume.spacing).numpy()
        mean = shell_means(volume.values).numpy()
        use = (s >= s_range[0]) & (s <= s_range[1]) & (mean > 0)
        axes.plot(s[use], mean[use], label=name)
    axes.set(yscale="log", xlabel="s = 1/d (1/Å)", ylabel="mean intensity (electrons²)")
    axes.set_xlim(0, s_range[1])
    if len(volumes) > 1:
        axes.legend(frameon=False, fontsize=9)
    resolution_axis(axes)
    return figure


def half_sets(halves: tuple[Volume, Volume], s_range: tuple[float, float]) -> Figure:
    """Return the correlation of the half-sets' intensities, shell by shell."""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    found = agreement(halves, *s_range)
    assert found is not None
    axes.plot(found.s_per_angstrom.numpy(), found.correlation.numpy(), color=COLOURS[0])
    _half_set_axes(axes, s_range[1])
    return figure


def half_set_curves(events: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Return the half-sets' correlation as lines of a log tell it, None where none does.

    Of many rounds nine are drawn, the last in black.
    """
    told = [event for event in events if event.get(_CURVE) and event.get("s_per_angstrom")]
    return _curves(told) if told else None


def _curves(rounds: Sequence[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    shown = np.unique(np.linspace(0, len(rounds) - 1, _MOST_CURVES).round().astype(int))
    # Without the ends, which drown on a dark or a light page.
    colours = ListedColormap(mpl.colormaps["viridis"](np.linspace(0.25, 0.9, 256)))
    norm = Normalize(1, len(rounds))
    for number in shown:
        s, curve = (curve_of(rounds[number], key) for key in ("s_per_angstrom", _CURVE))
        if len(s) != len(curve):
            raise FormatError(f"{METRICS}: {len(s)} s_per_angstrom, but {len(curve)} {_CURVE}")
        last = number == len(rounds) - 1
        colour = "black" if last else colours(norm(number + 1))
        axes.plot(
            s, curve, color=colour, lw=2.2 if last else 1.1,
            zorder=3 if last else 2,
        )  # fmt: skip
    _half_set_axes(axes, max(np.nanmax(curve_of(event, "s_per_angstrom")) for event in rounds))
    axes.set_ylabel(f"{_CURVE} between the half-sets")
    scale = mpl.cm.ScalarMappable(norm, colours)
    figure.colorbar(scale, ax=axes, label="round with curves (the last in bold)", pad=0.02)
    return figure


def _half_set_axes(axes: Axes, s_max: float) -> None:
    """Finish the axes of correlations between half-sets over s, up to ``s_max`` (Å⁻¹)."""
    axes.axhline(LEVEL, color="0.5", lw=0.8, ls="--")
    axes.axhline(0, color="0.6", lw=0.8)
    axes.set(xlabel="s = 1/d (1/Å)", ylabel="correlation of the half-sets", ylim=(-0.2, 1.02))
    axes.set_xlim(0, s_max)
    resolution_axis(axes)


def density_slices(volume: Volume) -> Figure:
    """Return the three planes through a density's centre of mass, cut to where there is any."""
    values = volume.values.double().numpy()
    top = max(float(np.quantile(values, BRIGHTEST)), 1e-30)
    there = np.argwhere(values > _LEAST * top)
    if not len(there):
        there = np.argwhere(np.ones_like(values))
    weight = np.clip(values[tuple(there.T)], 1e-30, None)
    middle = np.round(np.average(there, axis=0, weights=weight)).astype(int)
    step, origin = volume.spacing / 10, volume.grid // 2  # nm, and the voxel at zero
    edge = (origin + 0.5) * step
    reach = (np.abs(there - middle).max() + 3) * step
    figure = Figure(figsize=(12, 4.1), layout="constrained")
    row = figure.subplots(1, 3)
    for axes, (across, up, normal) in zip(row, _PLANES, strict=True):
        plane = np.take(values, middle[normal], axis=normal) / top
        image = axes.imshow(
            plane.T, origin="lower", extent=(-edge, edge, -edge, edge), cmap="cividis", vmin=0,
            vmax=1, interpolation="bilinear",
        )  # fmt: skip
        x, y = ((middle["xyz".index(name)] - origin) * step for name in (across, up))
        axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))
        axes.set(xlabel=f"{across} (nm)", ylabel=f"{up} (nm)")
        axes.set_facecolor(image.get_cmap()(0.0))
    figure.colorbar(image, ax=row[2], label="density, relative to its maximum", shrink=0.85)
    return figure


def _log_measured(volume: Volume, s_range: tuple[float, float]) -> np.ndarray:
    """Return log₁₀ of the intensity where it is positive and was measured, else NaN."""
    s = radius(volume.grid, volume.spacing)
    use = (s >= s_range[0]) & (s <= s_range[1]) & (volume.values > 0)
    return torch.where(use, volume.values, torch.nan).log10().numpy()


def _rings(axes: Axes, reach: float) -> None:
    """Draw circles of round resolutions, each labelled in Å, and cut the axes to the data."""
    angle = np.linspace(0, 2 * np.pi, 200)
    for d in resolution_ticks(_RING_ROOM * reach, reach, _RING_ROOM):
        axes.plot(np.cos(angle) / d, np.sin(angle) / d, color="1.0", lw=0.9, alpha=0.9)
        axes.text(
            0.7071 / d, 0.7071 / d, f"{d:g} Å", color="1.0", fontsize=8, ha="left", va="bottom",
            bbox={"facecolor": "0.0", "alpha": 0.4, "pad": 1, "linewidth": 0},
        )  # fmt: skip
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
