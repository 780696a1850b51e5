"""What the page about a result shows of X-RAI alone: its rounds, its starts, a run that goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from xrai.state import checkpoint
from xraisim.core.halves import RULE
from xraisim.figure_axes import COLOURS
from xraisim.files.poses import check_columns
from xraisim.report.page import MethodPanels, duration, formatted
from xraisim.report.panels import COMMON, Section
from xraisim.report.run import LOGGED, Run, figure_of, last_of, s_range

# Events that take in patterns and move the limit: today's, and those of runs without half-sets.
_ROUNDS = ("round", "refine")
_TICKS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)  # of a logarithmic axis shorter than a decade
_PROGRESS = (
    "Rounds over the patterns that had been taken in. The limit is how far out in |s| "
    "the round refined; where the limit moves, more pixels join and log-likelihoods before and "
    "after do not compare. Misfit: how far a pattern's squared deviations lie above those that "
    "photon noise alone makes, in standard deviations; 0 ± 1 for a true model. Resolutions go by "
    "the rule in their name."
)
_STARTS = "Every start begins from nothing at low resolution; the likeliest (large) goes on."
Rounds = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Figures of the rounds that share an axis: ``lines`` from a figure's name to its label.

    ``scale``: ``linear``, ``log``, or ``zero`` for a linear one that begins at zero.
    """

    ylabel: str
    lines: Mapping[str, str]
    scale: str = "linear"


_CURVES = (
    Curves(
        ylabel="log-likelihood\nper pattern (nats)",
        lines={"loglik_per_pattern": "all patterns of the round"},
    ),
    Curves(
        ylabel="resolution d (Å)",
        lines={"d_min_angstrom": "limit of the round", LOGGED: RULE},
        scale="log",
    ),
    Curves(
        ylabel="angle (degrees)",
        lines={
            "turned_deg_median": "turned in the round, median",
            "error_deg_median": "standard error of the pose, median",
            "disconcurrence_deg": "poses by the two half-sets apart",
        },
        scale="log",
    ),
    Curves(ylabel="misfit", lines={"misfit_median": "median of the round"}),
    Curves(ylabel="share of patterns", lines={"outliers": "outliers"}, scale="zero"),
    Curves(ylabel="patterns per second", lines={"patterns_per_s": "in the round"}, scale="zero"),
    Curves(ylabel="memory (GiB)", lines={"peak_memory_gib": "peak"}, scale="zero"),
    Curves(ylabel="time (s)", lines={"elapsed_s": "since the start"}, scale="zero"),
)


def progress(run: Run) -> Section | str:
    """Return curves for each thing that the rounds tell, over the patterns taken in."""
    rounds = rounds_of(run)
    if not rounds:
        return "progress, which begins with the first round"
    return Section(title="Progress", figure=curves(rounds), caption=_PROGRESS)


def rounds_of(run: Run) -> Rounds:
    """Return the events that took in patterns, in order."""
    return [event for event in run.events if event.get("event") in _ROUNDS]


def patterns_taken(rounds: Rounds) -> np.ndarray:
    """Return how many patterns had been taken in after each round, repeats counted."""
    return np.cumsum(np.nan_to_num(figure_of(rounds, "patterns")))


def curves(rounds: Rounds) -> Figure:
    """Return axes for each thing that the rounds tell, over the patterns taken in."""
    known = [
        one for one in _CURVES if any(np.isfinite(figure_of(rounds, n)).any() for n in one.lines)
    ]
    rows = -(-len(known) // 2)
    figure = Figure(figsize=(12, 2.7 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, 2, squeeze=False).flat
    for axes in list(grid)[len(known) :]:
        axes.set_axis_off()
    for axes, one in zip(figure.axes, known, strict=False):
        _draw(axes, rounds, one)
        _mark_kinds(axes, rounds)
    return figure


def _draw(axes: Axes, rounds: Rounds, one: Curves) -> None:
    seen = patterns_taken(rounds)
    for name, colour in zip(one.lines, COLOURS, strict=False):
        value = figure_of(rounds, name)
        known = np.isfinite(value)
        if known.any():
            axes.plot(
                seen[known], value[known], ".-", lw=1.3, ms=5, color=colour,
                label=one.lines[name],
            )  # fmt: skip
    if one.scale == "log":
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=_TICKS if high < 10 * low else (1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif one.scale == "zero":
        axes.set_ylim(bottom=0, top=1.1 * max(axes.get_ylim()[1], 1e-3))
    axes.set(xlabel="patterns taken in, repeats counted", ylabel=one.ylabel)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(color="0.5", alpha=0.25, lw=0.6)
    axes.legend(frameon=False, fontsize=8)


def _mark_kinds(axes: Axes, rounds: Rounds) -> None:
    """Mark where rounds of another kind begin."""
    kinds = [str(event.get("kind", "")) for event in rounds]
    begins = np.concatenate([[0.0], patterns_taken(rounds)])
    for number, kind in enumerate(kinds):
        if kind and (number == 0 or kinds[number - 1] != kind):
            axes.axvline(begins[number], color="0.6", lw=0.8, zorder=0)
            axes.text(
                begins[number], 1.01, f" {kind}", fontsize=8, color="0.5",
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip


def starts(run: Run) -> Section | None:
    """Return what each random start reached, the likeliest marked; None before the first."""
    told = [event for event in run.events if event.get("event") == "start"]
    found = [event for event in told if event.get("nll_per_photon") is not None]
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
    return Section(title="Random starts", figure=figure, caption=_STARTS)


def head(run: Run) -> dict[str, str]:
    """Return the figures to stand first, by name."""
    rounds = rounds_of(run)
    elapsed = last_of(figure_of(run.events[-1:], "elapsed_s"))

    def last(name: str, form: str) -> str:
        return formatted(last_of(figure_of(rounds, name)), form)

    return {
        "patterns": last("patterns_seen", "{:,.0f}"),
        "time": "" if elapsed is None else duration(elapsed),
        "patterns per second": last("patterns_per_s", "{:,.0f}"),
        "taken in, repeats counted": formatted(last_of(patterns_taken(rounds)), "{:,.0f}"),
        "log-likelihood per pattern": last("loglik_per_pattern", "{:,.1f}"),
        "outliers": last("outliers", "{:.1%}"),
    }


def so_far(run: Run) -> Run:
    """Return a run with the patterns' file, volumes and poses of its checkpoint, if it has one."""
    if not (run.directory / checkpoint.NAME).exists():
        return run
    state = checkpoint.load(run.directory)
    columns = {name: values.numpy() for name, values in state.outcome().items()}
    check_columns(run.directory / checkpoint.NAME, columns)
    file = Path(state.patterns)
    return replace(
        run,
        patterns=run.patterns or (file if file.is_file() else None),
        poses=columns,
        volumes={0: state.volume} if state.volume else {},
        halves=(state.volumes[0], state.volumes[1]) if len(state.volumes) == 2 else None,
        s_range=s_range(state.extent, [state.volume]) if state.volume else run.s_range,
    )


METHODS = {"xrai": MethodPanels(panels=(progress, *COMMON, starts), head=head, so_far=so_far)}
