"""One self-contained HTML page about a result, from what its directory holds."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from xraisim.files.atomic import write_text
from xraisim.files.events import METRICS
from xraisim.html_page import render
from xraisim.report import viewer
from xraisim.report.panels import COMMON, Panel, Section, in_words
from xraisim.report.run import Run, last_of, read_run
from xraisim.report.volumes import MOST_CLASSES

# Which command knows the panels of a method; the common ones are in either.
_COMMANDS = {
    "xrai": "xrai report",
    "emc": "xrai-baseline report",
    "dragonfly": "xrai-baseline report",
    "phasing": "xrai-baseline report",
    "classify": "xrai-baseline report",
}


@dataclass(frozen=True, kw_only=True)
class MethodPanels:
    """What a method shows of its own results.

    ``panels``: in their order, with those of :data:`COMMON` that apply. ``head``: names and values
    to stand first; under a common name, what is told while there is no result. ``so_far``: takes a
    run without volume or poses and returns it with those of its checkpoint, if there are any.
    """

    panels: Sequence[Panel] = COMMON
    head: Callable[[Run], Mapping[str, str]] = lambda run: {}
    so_far: Callable[[Run], Run] = lambda run: run


_ANYBODY = MethodPanels()


def read(
    directory: Path,
    methods: Mapping[str, MethodPanels],
    density: Path | None = None,
    patterns: Path | None = None,
) -> Run:
    """Read a run, with what the checkpoint of its method holds while it goes on."""
    run = read_run(directory, density, patterns)
    if run.volumes and run.poses:
        return run
    return methods.get(run.method, _ANYBODY).so_far(run)


def write_report(
    directory: Path,
    path: Path,
    methods: Mapping[str, MethodPanels],
    *,
    patterns: Path | None = None,
    density: Path | None = None,
) -> Run:
    """Write the page about the run in ``directory`` to ``path``, whole or not at all; return it.

    ``methods``: whose panels are at hand; a result of another one gets the common page.
    ``patterns``: the run's pattern file, to show patterns beside their predictions. ``density``: a
    map phased from the run's intensity (default: that of ``phasing`` in its directory). What the
    run has not left is named and left out. Raises :class:`FormatError` for a directory that holds
    no run, a damaged file, or another run's patterns.
    """
    run = read(directory, methods, density, patterns)
    write_text(path, page_of(run, methods))
    return run


def page_of(run: Run, methods: Mapping[str, MethodPanels], refresh_s: float = 0.0) -> str:
    """Return the page; with ``refresh_s`` it asks its server for news so often."""
    method = methods.get(run.method, _ANYBODY)
    shown = [panel(run) for panel in method.panels]
    missing = [one for one in shown if isinstance(one, str)]
    if more := command_with_more(run, methods):
        missing.append(f"what {run.method} tells of its own: {more}")
    named = list(run.named_volumes().items())[:MOST_CLASSES]
    cubes = [viewer.intensity_cube(name, volume, run.s_range) for name, volume in named]
    cubes += [viewer.density_cube(run.density)] if run.density else []
    cubes = [cube for cube in cubes if cube.levels]
    rows = run.result.rows() if run.result else {}
    return render(
        "xraisim/report/page.html.j2",
        directory=str(run.directory),
        method=run.method or "run",
        command=_COMMANDS.get(run.method, _COMMANDS["xrai"]),
        status=status(run),
        warnings=run.warnings,
        head=head(run, methods),
        # Base64, numbers and names of ours: nothing in it could end the script element.
        surfaces=Markup(viewer.packed(cubes)) if cubes else "",
        sections=[one for one in shown if isinstance(one, Section)],
        missing=missing,
        figures=[(name, in_words(value)) for name, value in rows.items() if not _is_table(value)],
        config=run.config,
        refresh_s=refresh_s,
    )


def command_with_more(run: Run, methods: Mapping[str, MethodPanels]) -> str:
    """Return the command that has panels of the run's method which are not at hand, or nothing."""
    command = _COMMANDS.get(run.method)
    return "" if command is None or run.method in methods else f"{command} {run.directory}"


def status(run: Run) -> str:
    """Return in a sentence how far the run is."""
    if run.finished:
        return "This run has finished."
    if not run.events:
        return "This run has begun, and has told nothing yet."
    last = (run.directory / METRICS).stat().st_mtime
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(last))
    event = run.events[-1].get("event", "iteration")
    return f"This run goes on, or was interrupted: it last told of “{event}” at {when}."


def head(run: Run, methods: Mapping[str, MethodPanels]) -> dict[str, str]:
    """Return the figures that come first, by name."""
    known, (rule, resolution) = run.result, _resolution(run)
    figures = {
        "patterns": formatted(known.patterns if known else None, "{:,.0f}"),
        f"resolution, {rule}": resolution,
        "time": duration(known.seconds) if known else "",
        "patterns per second": formatted(known.patterns_per_s if known else None, "{:,.0f}"),
        "peak memory": formatted(known.peak_memory_gib if known else None, "{:.2f} GiB"),
        "hardware": str(known.hardware or known.device) if known else "",
    }
    own = methods.get(run.method, _ANYBODY).head(run)
    figures |= {name: value for name, value in own.items() if not figures.get(name)}
    return {name: value for name, value in figures.items() if value}


def _resolution(run: Run) -> tuple[str, str]:
    """Return a rule and the resolution by it: of the half-sets, else where the data end."""
    found = run.resolution()
    if found is not None:
        return found.rule, found.text(growing=not run.finished)
    edge = last_of(run.column("d_min_angstrom"))
    if edge is None and run.result is not None:
        edge = run.result.d_min_angstrom
    return "edge of the data used, unmeasured", formatted(edge, "{:.1f} Å")


def formatted(value: float | None, form: str) -> str:
    """Return a figure in a format, nothing where it is not known."""
    return "" if value is None else form.format(value)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _is_table(value: object) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(one, dict) for one in value)
