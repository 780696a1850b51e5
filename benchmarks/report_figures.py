"""Figures of the report: curves of every method, central slices."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from benchmarks.metrics import fsc_truth
from benchmarks.record import Record
from benchmarks.slices import Slices
from xraisim.figure_axes import COLOURS

_TICKS_ANGSTROM = (250, 150, 100, 80, 70, 60, 50, 40, 30, 25, 20, 18, 16, 14, 12, 10, 8, 6, 5, 4, 3)


def colours(methods: Iterable[str]) -> dict[str, str]:
    """Return one colour per method, the same in every figure."""
    names = list(dict.fromkeys(methods))
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}


def curves(records: Sequence[Record], name: str, title: str, thresholds: Sequence[float]) -> Figure:
    """Return the curve ``name`` of every record, one line per seed, one colour per method."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    _curves(figure.subplots(), records, name, title, thresholds)
    return figure


def _curves(
    axes: Axes, records: Sequence[Record], name: str, title: str, thresholds: Sequence[float]
) -> None:
    colour = colours(record.label for record in records)
    shown: set[str] = set()
    for record in records:
        curve = record.curve(name)
        if curve is None:
            continue
        label = record.label if record.label not in shown else None
        shown.add(record.label)
        axes.plot(
            curve.s_per_angstrom, curve.value, color=colour[record.label], label=label, lw=1.5
        )
    for threshold in thresholds:
        axes.axhline(threshold, color="0.6", lw=0.8, ls="--")
    axes.set(title=title, ylim=(-0.1, 1.02), xlabel="resolution (Å)", ylabel="correlation")
    _angstrom_axis(axes)
    if shown:
        axes.legend(frameon=False)


def _angstrom_axis(axes: Axes) -> None:
    """Label an axis in Å⁻¹ with resolutions in Å, leaving out labels that would overlap."""
    low, high = axes.get_xlim()
    chosen: list[int] = []
    for tick in _TICKS_ANGSTROM:
        room = 1 / tick - (1 / chosen[-1] if chosen else -np.inf)
        if low <= 1 / tick <= high and room > 0.07 * (high - low):
            chosen.append(tick)
    axes.set_xticks([1 / tick for tick in chosen], [str(tick) for tick in chosen])


def slices(found: Sequence[tuple[str, Slices]]) -> Figure:
    """Return log intensity above density: the truth first, then one column per method."""
    figure = Figure(figsize=(2.2 * (len(found) + 1), 4.8), layout="constrained")
    _slices(figure, found)
    return figure


def overview(records: Sequence[Record], found: Sequence[tuple[str, Slices]]) -> Figure:
    """Return slices and density FSC side by side: the picture of the README."""
    figure = Figure(figsize=(2.0 * (len(found) + 1) + 4.6, 4.4), layout="constrained")
    widths = [2.0 * (len(found) + 1), 4.6]
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=widths))
    _slices(left, found)
    title = "Density against the atoms: FSC"
    _curves(right.subplots(), records, fsc_truth.CURVE, title, [fsc_truth.THRESHOLD])
    return figure


def _slices(figure: FigureBase, found: Sequence[tuple[str, Slices]]) -> None:
    first = found[0][1]
    columns = [("truth", first.intensity_truth, first.density_truth, first)]
    columns += [(name, one.intensity, one.density, one) for name, one in found]
    grid = figure.subplots(2, len(columns), squeeze=False)
    low, high = _log_range(first.intensity_truth)
    for column, (name, intensity, density, one) in enumerate(columns):
        s, r = one.reach_per_angstrom, one.reach_angstrom / 10
        with np.errstate(divide="ignore"):
            log = np.log10(np.maximum(intensity.T, 0))
        top, bottom = grid[0, column], grid[1, column]
        top.imshow(log, origin="lower", extent=(-s, s, -s, s), cmap="magma", vmin=low, vmax=high)
        bottom.imshow(
            density.T, origin="lower", extent=(-r, r, -r, r), cmap="gray_r", vmin=0,
            vmax=max(float(np.quantile(density, 0.998)), 1e-30),
        )  # fmt: skip
        top.set(title=name, xticks=[-s, 0, s], yticks=[])
        top.set_xticklabels([f"1/{1 / s:.0f}", "0", f"1/{1 / s:.0f} Å⁻¹"], fontsize=8)
        bottom.set(xticks=[-r, 0, r], yticks=[])
        bottom.set_xticklabels([f"{-r:.0f}", "0", f"{r:.0f} nm"], fontsize=8)
    grid[0, 0].set_ylabel("log intensity")
    grid[1, 0].set_ylabel("density")


def _log_range(intensity: np.ndarray) -> tuple[float, float]:
    lit = np.log10(intensity[intensity > 0])
    return float(np.quantile(lit, 0.05)), float(lit.max())
