"""One self-contained HTML page about an EMC run, from what its directory holds."""

from pathlib import Path

import numpy as np

from baselines.report.run import Run, read_run
from baselines.report.sections import sections_of
from xraisim.files.atomic import whole_file
from xraisim.html_page import render
from xraisim.report_figures import wording
from xraisim.report_figures.run_files import number_of
from xraisim.report_figures.volumes import half_set_resolution


def write_report(directory: Path, path: Path, patterns: Path | None = None) -> None:
    """Write the page about the run in ``directory``, whole or not at all.

    With ``patterns``, the run's pattern file, it shows patterns beside their predictions. What the
    run has not left (an unfinished one has no poses) is named and left out. Raises
    :class:`FormatError` for a directory that holds no EMC run, or another file's patterns.
    """
    run = read_run(directory)
    sections, missing = sections_of(run, patterns)
    page = render(
        "baselines/report/page.html.j2",
        directory=str(directory),
        head=head(run),
        sections=sections,
        missing=missing,
        summary=[(name, wording.text(value)) for name, value in run.summary.items()],
        config=run.config,
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def head(run: Run) -> list[tuple[str, str]]:
    """Return the figures that come first, as (name, value)."""
    found, rule = resolution(run)
    known = run.summary
    seconds = number_of(known, "seconds")
    if seconds is None:
        seconds = float(np.nansum(run.column("seconds")))
    figures = [
        ("patterns", wording.figure(number_of(known, "patterns"), "{:,.0f}")),
        (f"resolution, {rule}", found),
        ("iterations" + ("" if known else ", unfinished"), f"{len(run.iterations):,}"),
        ("time", wording.duration(seconds)),
        ("patterns per second", wording.figure(number_of(known, "patterns_per_s"), "{:,.0f}")),
        ("peak memory", wording.figure(number_of(known, "peak_memory_gib"), "{:.2f} GiB")),
        ("hardware", str(known.get("hardware", known.get("device", "")))),
    ]
    return [(name, value) for name, value in figures if value]


def resolution(run: Run) -> tuple[str, str]:
    """Return the resolution with the rule that gave it: of the half-sets, if there are any."""
    measured = run.measured()
    if measured is not None:
        found, rule = measured
        return f"{found[np.isfinite(found)][-1]:.1f} Å", rule
    if run.halves is not None:
        halves = half_set_resolution(run.halves, run.s_range)
        return str(halves), halves.rule
    edge = run.column("d_min_angstrom")[-1]
    return f"{edge:.1f} Å" if np.isfinite(edge) else "", "edge of the last level, unmeasured"
