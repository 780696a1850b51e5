"""Curves over the iterations of a run: likelihood, annealing, convergence, resolution, time."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from baselines.report.run import Run
from xraisim.core.halves import RULE
from xraisim.figure_axes import COLOURS
from xraisim.report_figures.resolution import LOGGED

_PANELS = (
    ("log_likelihood_per_photon", "log-likelihood per photon (nats)", "linear"),
    ("beta", "β", "log"),
    ("volume_change", "relative change of the volume", "log"),
    ("mutual_information_nats", "mutual information (nats)", "linear"),
    ("d_min_angstrom", "resolution d (Å)", "linear"),
    ("seconds", "seconds per iteration", "log"),
)
_LATER = "black"  # levels that no start of its own leads to
_START_QUANTILE = 0.15  # the first leaps of the starts would hide how they end


def progress(run: Run) -> Figure:
    """Return one panel per figure of metrics.jsonl, over all iterations in their order."""
    panels = [panel for panel in _PANELS if np.isfinite(run.column(panel[0])).any()]
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(12, 2.5 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, 2, sharex=True, squeeze=False).flat
    for axes in list(grid)[len(panels) :]:
        axes.set_axis_off()
    for axes, (name, label, scale) in zip(figure.axes, panels, strict=False):
        _draw(axes, run, name)
        axes.set(ylabel=label, yscale=scale)
        if scale == "log":
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelbottom=True)
        if name == "d_min_angstrom":
            _measured(axes, run)
        _mark_levels(axes, run)
    for axes in figure.axes[-2:]:
        axes.set_xlabel("iteration")
    return figure


def starts(run: Run) -> Figure | None:
    """Return the likelihood of the random starts, each from its beginning; None for a single one.

    The axis leaves out the lowest values, of the first iterations.
    """
    first = run.column("level") == run.column("level").min()
    numbers = sorted(set(run.column("restart")[first]))
    if len(numbers) < 2:
        return None
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    value = run.column("log_likelihood_per_photon")
    for number in numbers:
        mine = value[first & (run.column("restart") == number)]
        axes.plot(
            np.arange(1, len(mine) + 1), mine, ".-", lw=1, color=_colour(run, number),
            label=f"start {number + 1:.0f}: {mine[-1]:.5f}",
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=np.nanquantile(value[first], _START_QUANTILE))
    axes.set(xlabel="iteration of the start", ylabel="log-likelihood per photon (nats)")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _draw(axes: Axes, run: Run, name: str) -> None:
    """Draw a figure over the iterations, a line for every start and level."""
    level, restart, value = run.column("level"), run.column("restart"), run.column(name)
    new = np.flatnonzero((np.diff(level) != 0) | (np.diff(restart) != 0)) + 1
    for part in np.split(np.arange(len(value)), new):
        axes.plot(part + 1, value[part], ".-", lw=1, ms=4, color=_colour(run, restart[part[0]]))


def _measured(axes: Axes, run: Run) -> None:
    found = run.column(LOGGED)
    if np.isfinite(found).any():
        axes.plot(np.arange(1, len(found) + 1), found, "x", color=COLOURS[1], label=RULE)
        axes.plot([], [], ".-", color=_LATER, label="edge of the level")
        axes.legend(frameon=False, fontsize=8)


def _colour(run: Run, restart: float) -> str:
    """Return the colour of a start, or that of the levels after the starts."""
    first = run.column("level") == run.column("level").min()
    is_start = restart in run.column("restart")[first]
    return COLOURS[int(restart) % (len(COLOURS) - 1)] if is_start else _LATER


def _mark_levels(axes: Axes, run: Run) -> None:
    level = run.column("level")
    begins = np.concatenate([[0], np.flatnonzero(np.diff(level) > 0) + 1])
    for number, begin in enumerate(begins):
        name = f"level {level[begin]:.0f}" if number == 0 else f"{level[begin]:.0f}"
        axes.axvline(begin + 0.5, color="0.8", lw=0.8, zorder=0)
        axes.text(
            begin + 0.6, 1.01, name, fontsize=8, color="0.5",
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
