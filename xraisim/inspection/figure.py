"""The pictures of a pattern file: patterns, mean pattern, histogram, radial profile."""

from pathlib import Path

import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xraisim.figure_axes import resolution_axis
from xraisim.files.atomic import whole_file
from xraisim.files.patterns import PatternReader
from xraisim.inspection.image import Assembly
from xraisim.inspection.sampling import PatternSample, radial_profile

_GAP = "0.97"  # where there is no pixel
_MASKED = "0.8"


def overview(reader: PatternReader, taken: PatternSample, assembly: Assembly) -> Figure:
    """Return everything in one figure: six patterns, their mean, histogram and profile."""
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    axes = figure.subplots(3, 4)
    masked = _masked(reader)
    for axis in axes[:2].flat[len(taken.shown) : 6]:
        axis.set_axis_off()
    for axis, number, counts in zip(axes[:2].flat, taken.shown, taken.counts, strict=False):
        show(axis, counts, masked, assembly, f"pattern {number:,}")
    show(axes[1, 2], taken.mean, masked, assembly, f"mean of {taken.looked_at:,}")
    histogram(axes[1, 3], taken)
    for axis in axes[2]:
        axis.remove()
    profile(figure.add_subplot(axes[2, 0].get_gridspec()[2, :]), reader, taken)
    return figure


def patterns(reader: PatternReader, taken: PatternSample, assembly: Assembly) -> Figure:
    """Return the sample patterns side by side, each with its total."""
    figure = Figure(figsize=(12, 7.6), layout="constrained")
    axes = figure.subplots(2, 3).flat
    masked = _masked(reader)
    for axis in figure.axes:
        axis.set_axis_off()
    for axis, number, counts in zip(axes, taken.shown, taken.counts, strict=False):
        axis.set_axis_on()
        title = f"pattern {number:,}: {counts[~masked].sum():,} photons"
        image = show(axis, counts, masked, assembly, title)
        figure.colorbar(image, ax=axis, shrink=0.8)
    return figure


def mean(reader: PatternReader, taken: PatternSample, assembly: Assembly) -> Figure:
    """Return the mean pattern with its axes in mm."""
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axis = figure.subplots()
    title = f"mean of {taken.looked_at:,} patterns"
    image = show(axis, taken.mean, _masked(reader), assembly, title)
    axis.tick_params(left=True, bottom=True, labelleft=True, labelbottom=True)
    axis.set(xlabel="x (mm)", ylabel="y (mm)")
    figure.colorbar(image, ax=axis, label="photons per pixel", shrink=0.85)
    return figure


def statistics(reader: PatternReader, taken: PatternSample) -> tuple[Figure, Figure]:
    """Return the histogram of photons per pattern and the radial profile."""
    figures = tuple(Figure(figsize=(6.4, 4.2), layout="constrained") for _ in range(2))
    histogram(figures[0].subplots(), taken)
    profile(figures[1].subplots(), reader, taken)
    return figures[0], figures[1]


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure (PNG), whole or not at all."""
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


def show(
    axis: Axes, values: np.ndarray, masked: np.ndarray, assembly: Assembly, title: str
) -> matplotlib.image.AxesImage:
    """Draw photons [P] where the pixels are, on a scale that is linear near zero, else a log.

    Counts are linear up to one photon, means up to a thousandth of the brightest pixel.
    """
    image = assembly.image(values.astype(float), masked)
    top = max(float(image.max()) if image.count() else 0.0, 1e-3)
    linear = 1.0 if np.issubdtype(values.dtype, np.integer) else max(1e-3 * top, 1e-6)
    norm = matplotlib.colors.SymLogNorm(linthresh=linear, vmin=0, vmax=max(top, linear))
    axis.imshow(
        np.where(assembly.gaps(), 1.0, 0.0), extent=assembly.extent, origin="lower",
        cmap=matplotlib.colors.ListedColormap([_MASKED, _GAP]), vmin=0, vmax=1,
        interpolation="nearest",
    )  # fmt: skip
    drawn = axis.imshow(
        image, norm=norm, extent=assembly.extent, origin="lower", cmap="magma",
        interpolation="nearest",
    )  # fmt: skip
    left, right, bottom, top = assembly.window(masked)
    axis.set(xlim=(left, right), ylim=(bottom, top), facecolor=_GAP)
    axis.set_title(title, fontsize=10)
    axis.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    return drawn


def histogram(axis: Axes, taken: PatternSample) -> None:
    """Draw how many patterns have how many photons."""
    axis.hist(taken.totals, bins=min(60, max(10, len(taken.totals) // 10)), color="0.4")
    axis.axvline(taken.totals.mean(), color="C1", lw=1)
    axis.set(xlabel="photons per pattern", ylabel="patterns")


def profile(axis: Axes, reader: PatternReader, taken: PatternSample) -> None:
    """Draw photons per pixel over |s|, and the background that the file states."""
    found = radial_profile(reader.pixels, taken.mean)
    for values, style in (
        (found.photons, {"color": "0.2", "label": "mean pattern"}),
        (found.background, {"color": "C1", "ls": "--", "label": "background in the file"}),
    ):
        if values.any():
            axis.plot(found.s, np.where(values > 0, values, np.nan), **style)  # type: ignore[arg-type]
    if found.photons.any() or found.background.any():
        axis.set_yscale("log")
        axis.legend(frameon=False, fontsize=9)
    axis.set(xlabel="s = 1/d (1/Å)", ylabel="photons per pixel", xlim=(0, found.s[-1] * 1.01))
    resolution_axis(axis)


def _masked(reader: PatternReader) -> np.ndarray:
    masked = np.ones(int(np.prod(reader.detector_shape)), bool)
    masked[reader.pixels.index.numpy()] = False
    return masked
