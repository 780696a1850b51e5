"""One self-contained HTML page about an EMC run, from what its directory holds."""

from pathlib import Path

import numpy as np

from baselines.report.run import Run, read_run
from baselines.report.sections import sections_of
from xraisim.files.atomic import write_text
from xraisim.html_page import render
from xraisim.report_figures import wording
from xraisim.report_figures.resolution import resolution_of


def write_report(directory: Path, path: Path, patterns: Path | None = None) -> None:
    """Write the page about the run in ``directory``, whole or not at all.

    With ``patterns``, the run's pattern file, it shows patterns beside their predictions. What the
    run has not left (an unfinished one has no poses) is named and left out. Raises
    :class:`FormatError` for a directory that holds no EMC run, or another file's patterns.
    """
    run = read_run(directory)
    sections, missing = sections_of(run, patterns)
    rows = run.result.rows() if run.result else {}
    page = render(
        "baselines/report/page.html.j2",
        directory=str(directory),
        head=head(run),
        sections=sections,
        missing=missing,
        summary=[(name, wording.text(value)) for name, value in rows.items()],
        config=run.config,
    )
    write_text(path, page)


def head(run: Run) -> list[tuple[str, str]]:
    """Return the figures that come first, as (name, value)."""
    found, rule = resolution(run)
    known = run.result
    seconds = known.seconds if known else float(np.nansum(run.column("seconds")))
    figures = [
        ("patterns", wording.figure(known.patterns if known else None, "{:,.0f}")),
        (f"resolution, {rule}", found),
        ("iterations" + ("" if known else ", unfinished"), f"{len(run.iterations):,}"),
        ("time", wording.duration(seconds)),
        (
            "patterns per second",
            wording.figure(known.patterns_per_s if known else None, "{:,.0f}"),
        ),
        ("peak memory", wording.figure(known.peak_memory_gib if known else None, "{:.2f} GiB")),
        ("hardware", str(known.hardware or known.device) if known else ""),
    ]
    return [(name, value) for name, value in figures if value]


def resolution(run: Run) -> tuple[str, str]:
    """Return the resolution with the rule that gave it: of the half-sets, if there are any."""
    found = resolution_of(run.result, run.iterations, run.halves, run.s_range)
    if found is not None:
        return found.text(growing=run.result is None), found.rule
    edge = run.column("d_min_angstrom")[-1]
    return f"{edge:.1f} Å" if np.isfinite(edge) else "", "edge of the last level, unmeasured"
