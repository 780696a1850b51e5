"""Slices and density curves of the runs of one task as an image: the picture of the README."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from benchmarks.metrics import fsc_truth
from benchmarks.record import Record
from benchmarks.report.shown import Shown, first_of_each, ordered
from benchmarks.report.style import looks
from benchmarks.report.volumes import TRUTH, brightest, log_image, log_range
from benchmarks.slices import Slices
from xraisim.core.errors import FormatError
from xraisim.figure_axes import resolution_ticks
from xraisim.files.atomic import disk_errors

_DASHES = {"solid": "-", "dash": "--", "dot": ":", "longdash": (0, (8, 3)), "dashdot": "-."}


def write_picture(path: Path, shown: Sequence[Shown]) -> None:
    """Write slices and density curves of the first task as an image (PNG or SVG by its suffix).

    Raises :class:`FormatError` where no run has its slices.
    """
    mine = ordered([one for one in shown if one.record.task == shown[0].record.task])
    planes = [(one.record.label, slices) for one, slices in first_of_each(mine)]
    if not planes:
        raise FormatError("no slices beside these records; give the work directory of a run")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _overview([one.record for one in mine], planes).savefig(path, dpi=110)


def _overview(records: Sequence[Record], found: Sequence[tuple[str, Slices]]) -> Figure:
    figure = Figure(figsize=(2.0 * (len(found) + 1) + 4.6, 4.4), layout="constrained")
    widths = [2.0 * (len(found) + 1), 4.6]
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=widths))
    _slices(left, found)
    _curves(right.subplots(), records)
    return figure


def _curves(axes: Axes, records: Sequence[Record]) -> None:
    """Draw the density curve of every record, one line per seed, one colour per method."""
    look = looks(record.label for record in records)
    shown: set[str] = set()
    for record in records:
        curve = record.curve(fsc_truth.CURVE)
        if curve is None:
            continue
        label = record.label if record.label not in shown else None
        shown.add(record.label)
        own = look[record.label]
        axes.plot(
            curve.s_per_angstrom, curve.value, color=own.colour, ls=_DASHES[own.dash], label=label,
            lw=1.5,
        )  # fmt: skip
    axes.axhline(fsc_truth.THRESHOLD, color="0.6", lw=0.8, ls="--")
    axes.set(title="Density against the atoms: FSC", ylim=(-0.1, 1.02))
    axes.set(xlabel="resolution (Å)", ylabel="correlation")
    ticks = resolution_ticks(*axes.get_xlim())
    axes.set_xticks([1 / tick for tick in ticks], [f"{tick:g}" for tick in ticks])
    if shown:
        axes.legend(frameon=False)


def _slices(figure: FigureBase, found: Sequence[tuple[str, Slices]]) -> None:
    """Draw log intensity above density: the truth first, then one column per method."""
    first = found[0][1]
    columns = [(TRUTH, first.intensity_truth, first.density_truth, first)]
    columns += [(name, one.intensity, one.density, one) for name, one in found]
    grid = figure.subplots(2, len(columns), squeeze=False)
    low, high = log_range(first.intensity_truth)
    for column, (name, intensity, density, one) in enumerate(columns):
        s, r = one.reach_per_angstrom, one.reach_angstrom / 10
        log = log_image(intensity.T)
        top, bottom = grid[0, column], grid[1, column]
        top.imshow(log, origin="lower", extent=(-s, s, -s, s), cmap="magma", vmin=low, vmax=high)
        bottom.imshow(
            density.T, origin="lower", extent=(-r, r, -r, r), cmap="gray_r", vmin=0,
            vmax=brightest(density),
        )  # fmt: skip
        top.set(title=name, xticks=[-s, 0, s], yticks=[])
        top.set_xticklabels([f"1/{1 / s:.0f}", "0", f"1/{1 / s:.0f} Å⁻¹"], fontsize=8)
        bottom.set(xticks=[-r, 0, r], yticks=[])
        bottom.set_xticklabels([f"{-r:.0f}", "0", f"{r:.0f} nm"], fontsize=8)
    grid[0, 0].set_ylabel("log intensity")
    grid[1, 0].set_ylabel("density")
