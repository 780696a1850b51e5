"""Plots of the comparison with Dragonfly, and of how our iteration's time grows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

OURS, THEIRS = "#1f5fa8", "#c8641e"
Rows = Sequence[Mapping[str, Any]]


def whole(path: Path, theirs: Rows, ours: Sequence[Rows], target: float) -> None:
    """Plot truth correlation against wall time, logarithmic."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    _line(axes, theirs, THEIRS, "Dragonfly 0.1.0")
    for number, rows in enumerate(ours):
        _line(axes, rows, OURS, "" if number else "xrai-baseline emc")
    axes.axhline(target, color="0.5", lw=0.8, ls="--")
    axes.set(
        xscale="log",
        xlabel="wall time since the start of the command (s)",
        ylabel="correlation with the truth, mean over shells",
        ylim=(0, 1),
    )
    axes.legend(frameon=False)
    _save(figure, path)


def _line(axes: Any, rows: Rows, colour: str, label: str) -> None:
    shown = [row for row in rows if row["truth_correlation"] is not None]
    axes.plot(
        [row["done_s"] for row in shown],
        [row["truth_correlation"] for row in shown],
        "o-",
        ms=2.5,
        lw=1,
        color=colour,
        label=label or None,
    )


def divergence(path: Path, curves: Mapping[str, Rows]) -> None:
    """Plot likelihoods per photon and the largest voxel against the iteration."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = {"dragonfly": ("Dragonfly 0.1.0", THEIRS), "ours": ("xrai-baseline emc", OURS)}
    for key, (name, colour) in names.items():
        rows = curves[key]
        steps = range(1, len(rows) + 1)
        left.plot(steps, [row["used"] for row in rows], color=colour, label=f"{name}, its frames")
        left.plot(
            steps,
            [row["held_out"] for row in rows],
            color=colour,
            ls="--",
            label=f"{name}, held-out frames",
        )
        right.plot(steps, [row["peak_over_mean"] for row in rows], color=colour, label=name)
    left.set(xlabel="iteration", ylabel="log-likelihood per photon (nats)")
    right.set(xlabel="iteration", ylabel="largest voxel / mean", yscale="log")
    left.legend(frameon=False, fontsize="small")
    _save(figure, path)


def scaling(path: Path, rows: Mapping[str, Rows]) -> None:
    """Plot seconds per iteration against each of N, R and pixels, both logarithmic."""
    labels = {"patterns": "patterns N", "rotations": "rotations R", "pixels": "pixels P"}
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes, (name, label) in zip(figure.subplots(1, 3), labels.items(), strict=True):
        x = [row[name] for row in rows[name]]
        y = [row["seconds"] for row in rows[name]]
        axes.plot(x, y, "o-", color=OURS, ms=4, lw=1)
        axes.plot(x, [y[-1] * one / x[-1] for one in x], "--", color="0.6", lw=0.8, label="linear")
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="s per iteration")
        axes.legend(frameon=False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
