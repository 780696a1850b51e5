"""What the page about a result shows of the methods here: EMC's iterations, phases, classes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from baselines.phasing.figure import draw_prtf
from xraisim.core.errors import FormatError, reading
from xraisim.core.halves import RULE
from xraisim.figure_axes import COLOURS
from xraisim.files.events import METRICS
from xraisim.report.page import MethodPanels, duration
from xraisim.report.panels import COMMON, Section, density, table_of
from xraisim.report.run import LOGGED, Run

_CURVES = (
    ("log_likelihood_per_photon", "log-likelihood per photon (nats)", "linear"),
    ("beta", "β", "log"),
    ("volume_change", "relative change of the volume", "log"),
    ("mutual_information_nats", "mutual information (nats)", "linear"),
    ("d_min_angstrom", "resolution d (Å)", "linear"),
    ("seconds", "seconds per iteration", "log"),
)
_PROGRESS = (
    "Numbers above the panels are levels, which reach further and further out; the "
    "log-likelihood is of the tempered posterior and of the level's pixels, so it compares within "
    "a level only. Colours tell random starts apart; the levels after them are dark."
)
_STARTS = "Each start from its first iteration; the likeliest goes on. The first leaps are cut off."
_PRTF = (
    "Phase retrieval transfer function (Chapman et al. 2006): how far the phases of independent "
    "starts agree in each shell, freed of what chance gives. The resolution is the first crossing "
    "of 1/e, going outwards."
)
_THRESHOLDS = "Parts of the density's maximum, with the R-factor of voxels that were held out."
_CLASSES = (
    "Means over the patterns whose likeliest class it is; averages.png shows what they look like. "
    "structure: nats per pattern over a round average, noise: what fitting gains on round patterns."
)
_LATER = "black"  # levels that no start of its own leads to
_START_QUANTILE = 0.15  # the first leaps of the starts would hide how they end


def progress(run: Run) -> Section | str:
    """Return axes for every figure of metrics.jsonl, over all iterations in their order."""
    if not run.events:
        return "progress, which begins with the first iteration"
    for name in ("level", "restart"):
        if not np.isfinite(run.column(name)).all():
            raise FormatError(
                f"{run.directory / METRICS}: not every line has a {name}; it is damaged, or not of "
                "`xrai-baseline emc`"
            )
    return Section(title="Progress", figure=curves(run), caption=_PROGRESS)


def curves(run: Run) -> Figure:
    """Return axes for every figure that the iterations tell."""
    panels = [panel for panel in _CURVES if np.isfinite(run.column(panel[0])).any()]
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


def starts(run: Run) -> Section | None:
    """Return the likelihood of the random starts, each from its beginning; None for a single one.

    The axis leaves out the lowest values, of the first iterations.
    """
    value = run.column("log_likelihood_per_photon")
    if not np.isfinite(value).any():
        return None
    first = run.column("level") == run.column("level").min()
    numbers = sorted(set(run.column("restart")[first]))
    if len(numbers) < 2:
        return None
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
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
    return Section(title="Random starts", figure=figure, caption=_STARTS)


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


def head(run: Run) -> dict[str, str]:
    """Return the figures to stand first, by name."""
    return {
        "time": duration(float(np.nansum(run.column("seconds")))),
        "iterations" + ("" if run.finished else ", unfinished"): f"{len(run.events):,}",
    }


def prtf(run: Run) -> Section | str:
    """Return how far the phases are reproduced, shell by shell."""
    path = run.directory / "prtf.csv"
    if not path.exists():
        return f"the phases' reproducibility: there is no {path.name}"
    with reading(path, "table of shells"):
        s, curve = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(0, 1), ndmin=2).T
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    draw_prtf(figure.subplots(), s, curve, run.resolution())
    return Section(title="Reproducibility of the phases", figure=figure, caption=_PRTF)


def thresholds(run: Run) -> Section | None:
    """Return the thresholds of the support that were tried."""
    return table_of(run, "thresholds_tried", "Thresholds of the support", _THRESHOLDS)


def classes(run: Run) -> Section | None:
    """Return the classes in figures."""
    return table_of(run, "classes", "Classes", _CLASSES)


_EMC = MethodPanels(panels=(progress, starts, *COMMON), head=head)
METHODS = {
    "emc": _EMC,
    "dragonfly": _EMC,
    "phasing": MethodPanels(panels=(density, prtf, thresholds)),
    "classify": MethodPanels(panels=(classes,)),
}
