"""Pictures of the intensities: central slices, radial profile, agreement of the half-sets."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from baselines.report.run import Run
from xraisim.core.fourier import radius
from xraisim.core.fsc import (
    Resolution,
    first_crossing,
    intensity_correlation,
    shell_s,
    shell_sums,
)
from xraisim.core.types import Volume
from xraisim.figure_axes import resolution_axis, resolution_ticks

HALF_THRESHOLD = 0.143
_MOST_CLASSES = 6
_RING_ROOM = 0.2  # of the reach, between two rings
_PLANES = (("x", "y", 2), ("x", "z", 1), ("y", "z", 0))


def name_of(run: Run, number: int) -> str:
    """Return how a volume is called: a class has a number."""
    return f"class {number}" if len(run.volumes) > 1 else "intensity"


def slices(run: Run) -> Figure:
    """Return the three central planes of every class, logarithmic, with rings of resolution."""
    shown = list(run.volumes.items())[:_MOST_CLASSES]
    figure = Figure(figsize=(12, 4.1 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 3, squeeze=False)
    for row, (number, volume) in zip(grid, shown, strict=True):
        log = _log_measured(volume, run.s_range)
        lit = log[np.isfinite(log)]
        low, high = np.quantile(lit, [0.02, 0.9995]) if len(lit) else (0.0, 1.0)
        for axes, (across, up, normal) in zip(row, _PLANES, strict=True):
            plane = np.take(log, volume.grid // 2, axis=normal)
            edge = (volume.grid // 2 + 0.5) * volume.spacing
            image = axes.imshow(
                plane.T, origin="lower", extent=(-edge, edge, -edge, edge), cmap="magma",
                vmin=low, vmax=high, interpolation="nearest",
            )  # fmt: skip
            _rings(axes, run.s_range[1])
            axes.set(xlabel=across, ylabel=up, facecolor="0.85", xticks=[], yticks=[])
        row[0].set_title(name_of(run, number), loc="left", fontsize=10)
        figure.colorbar(image, ax=row[2], label="log₁₀ intensity (electrons²)", shrink=0.85)
    return figure


def profile(run: Run) -> Figure:
    """Return the mean intensity over |s| of every class."""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, volume in run.volumes.items():
        s = shell_s(volume.grid, volume.spacing).numpy()
        mean = shell_sums(volume.values) / shell_sums(torch.ones_like(volume.values))
        use = (s >= run.s_range[0]) & (s <= run.s_range[1]) & (mean.numpy() > 0)
        axes.plot(s[use], mean.numpy()[use], label=name_of(run, number))
    axes.set(yscale="log", xlabel="s = 1/d (1/Å)", ylabel="mean intensity (electrons²)")
    axes.set_xlim(0, run.s_range[1])
    if len(run.volumes) > 1:
        axes.legend(frameon=False, fontsize=9)
    resolution_axis(axes)
    return figure


def half_set_resolution(run: Run) -> Resolution | None:
    """Return where the half-sets' intensities part, by the rule ``icc_half_0.143``."""
    if run.halves is None:
        return None
    s, curve = _half_curve(run.halves)
    return first_crossing(curve, s, HALF_THRESHOLD, f"icc_half_{HALF_THRESHOLD}", run.s_range)


def half_sets(run: Run) -> Figure | None:
    """Return the correlation of the half-sets' intensities shell by shell, if there are any."""
    if run.halves is None:
        return None
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    s, curve = _half_curve(run.halves)
    use = (s >= run.s_range[0]) & (s <= run.s_range[1])
    axes.plot(s[use].numpy(), curve[use].numpy(), color="C0")
    axes.axhline(HALF_THRESHOLD, color="0.6", lw=0.8, ls="--")
    axes.axhline(0, color="0.8", lw=0.8)
    axes.set(xlabel="s = 1/d (1/Å)", ylabel="correlation of the half-sets", ylim=(-0.2, 1.02))
    axes.set_xlim(0, run.s_range[1])
    resolution_axis(axes)
    return figure


def _half_curve(halves: tuple[Volume, Volume]) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = halves
    s = shell_s(first.grid, first.spacing)
    return s, intensity_correlation(first.values, second.values)


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
