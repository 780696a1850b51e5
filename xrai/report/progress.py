"""Curves over the patterns taken in: likelihood, resolution, poses, fit, speed; half-sets."""

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from xrai.report.run import Run
from xraisim.core.errors import FormatError
from xraisim.core.halves import RULE
from xraisim.figure_axes import COLOURS
from xraisim.report_figures.resolution import LOGGED
from xraisim.report_figures.run_files import curve_of, figure_of
from xraisim.report_figures.volumes import half_set_axes

_MOST_CURVES = 9
_CURVE = "icc_half"
_TICKS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)  # of a logarithmic axis shorter than a decade


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Figures of the rounds that share an axis: ``lines`` from a figure's name to its label.

    ``scale``: ``linear``, ``log``, or ``zero`` for a linear one that begins at zero.
    """

    ylabel: str
    lines: Mapping[str, str]
    scale: str = "linear"


_PANELS = (
    Panel(
        ylabel="log-likelihood\nper pattern (nats)",
        lines={"loglik_per_pattern": "all patterns of the round"},
    ),
    Panel(
        ylabel="resolution d (Å)",
        lines={"d_min_angstrom": "limit of the round", LOGGED: RULE},
        scale="log",
    ),
    Panel(
        ylabel="angle (degrees)",
        lines={
            "turned_deg_median": "turned in the round, median",
            "error_deg_median": "standard error of the pose, median",
            "disconcurrence_deg": "poses by the two half-sets apart",
        },
        scale="log",
    ),
    Panel(ylabel="misfit", lines={"misfit_median": "median of the round"}),
    Panel(ylabel="share of patterns", lines={"outliers": "outliers"}, scale="zero"),
    Panel(ylabel="patterns per second", lines={"patterns_per_s": "in the round"}, scale="zero"),
    Panel(ylabel="memory (GiB)", lines={"peak_memory_gib": "peak"}, scale="zero"),
    Panel(ylabel="time (s)", lines={"elapsed_s": "since the start"}, scale="zero"),
)


def progress(run: Run) -> Figure:
    """Return a panel for each thing that the rounds tell, over the patterns taken in."""
    panels = [panel for panel in _PANELS if _known(run, panel)]
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(12, 2.7 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, 2, squeeze=False).flat
    for axes in list(grid)[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(figure.axes, panels, strict=False):
        _draw(axes, run, panel)
        _mark_kinds(axes, run)
    return figure


def _known(run: Run, panel: Panel) -> list[str]:
    """Return which of the panel's figures the rounds tell."""
    return [name for name in panel.lines if np.isfinite(run.column(name)).any()]


def _draw(axes: Axes, run: Run, panel: Panel) -> None:
    seen = run.patterns_taken()
    for name, colour in zip(panel.lines, COLOURS, strict=False):
        value = run.column(name)
        known = np.isfinite(value)
        if known.any():
            axes.plot(
                seen[known], value[known], ".-", lw=1.3, ms=5, color=colour,
                label=panel.lines[name],
            )  # fmt: skip
    if panel.scale == "log":
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=_TICKS if high < 10 * low else (1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif panel.scale == "zero":
        axes.set_ylim(bottom=0, top=1.1 * max(axes.get_ylim()[1], 1e-3))
    axes.set(xlabel="patterns taken in, repeats counted", ylabel=panel.ylabel)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(color="0.5", alpha=0.25, lw=0.6)
    axes.legend(frameon=False, fontsize=8)


def _mark_kinds(axes: Axes, run: Run) -> None:
    """Mark where rounds of another kind begin."""
    kinds = [str(event.get("kind", "")) for event in run.rounds]
    begins = np.concatenate([[0.0], run.patterns_taken()])
    for number, kind in enumerate(kinds):
        if kind and (number == 0 or kinds[number - 1] != kind):
            axes.axvline(begins[number], color="0.6", lw=0.8, zorder=0)
            axes.text(
                begins[number], 1.01, f" {kind}", fontsize=8, color="0.5",
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip


def starts(run: Run) -> Figure | None:
    """Return what each random start reached, the likeliest marked; None before the first."""
    found = [e for e in run.events if e["event"] == "start" and e.get("nll_per_photon") is not None]
    if not found:
        return None
    value, restart = figure_of(found, "nll_per_photon"), figure_of(found, "restart")
    figure = Figure(figsize=(6, 0.9 + 0.28 * len(value)), layout="constrained")
    axes = figure.subplots()
    place = np.arange(len(value))
    axes.plot(value, place, "o", color="0.6")
    axes.plot(value.min(), value.argmin(), "o", color=COLOURS[1], ms=9)
    axes.set(yticks=place, yticklabels=[f"start {number + 1:.0f}" for number in restart])
    axes.set(ylim=(len(value) - 0.4, -0.6), xlabel="negative log-likelihood per photon (nats)")
    axes.margins(x=0.15)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.locator_params(axis="x", nbins=5)
    return figure


def half_set_curves(run: Run) -> Figure | None:
    """Return the half-sets' correlation of the rounds, None without any.

    Of many rounds nine are drawn, the last in black.
    """
    told = [event for event in run.rounds if event.get(_CURVE) and event.get("s_per_angstrom")]
    return _curves(told) if told else None


def _curves(rounds: list[dict]) -> Figure:
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    shown = np.unique(np.linspace(0, len(rounds) - 1, _MOST_CURVES).round().astype(int))
    # Without the ends, which drown on a dark or a light page.
    colours = ListedColormap(mpl.colormaps["viridis"](np.linspace(0.25, 0.9, 256)))
    norm = Normalize(1, len(rounds))
    for number in shown:
        s, curve = (curve_of(rounds[number], key) for key in ("s_per_angstrom", _CURVE))
        if len(s) != len(curve):
            raise FormatError(f"metrics.jsonl: {len(s)} s_per_angstrom, but {len(curve)} {_CURVE}")
        last = number == len(rounds) - 1
        colour = "black" if last else colours(norm(number + 1))
        axes.plot(
            s, curve, color=colour, lw=2.2 if last else 1.1,
            zorder=3 if last else 2,
        )  # fmt: skip
    half_set_axes(axes, max(np.nanmax(curve_of(event, "s_per_angstrom")) for event in rounds))
    axes.set_ylabel(f"{_CURVE} between the half-sets")
    scale = mpl.cm.ScalarMappable(norm, colours)
    figure.colorbar(scale, ax=axes, label="round with curves (the last in bold)", pad=0.02)
    return figure


def seconds(run: Run) -> Figure | None:
    """Return the seconds of every part of a finished run, None if it does not tell."""
    found = {
        name.removeprefix("seconds_").replace("_", " "): value
        for name, value in (run.result.figures if run.result else {}).items()
        if name.startswith("seconds_") and isinstance(value, int | float) and value >= 0
    }
    if not found:
        return None
    figure = Figure(figsize=(6, 0.9 + 0.32 * len(found)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(found), list(found.values()), color=COLOURS[0], height=0.6)
    axes.bar_label(bars, fmt="{:,.1f}", padding=4, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("seconds")
    return figure
