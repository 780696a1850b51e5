"""One self-contained HTML page about a run, from what its directory holds."""

import time
from pathlib import Path

import numpy as np
from markupsafe import Markup

from xrai.report import viewer
from xrai.report.run import Run, read_run
from xrai.report.sections import resolution, sections_of
from xraisim.files.atomic import write_text
from xraisim.html_page import render
from xraisim.report_figures import wording
from xraisim.report_figures.run_files import figure_of


def write_report(
    directory: Path, path: Path, *, patterns: Path | None = None, density: Path | None = None
) -> None:
    """Write the page about the run in ``directory`` to ``path``, whole or not at all.

    ``patterns``: the run's pattern file, to show patterns beside their predictions (default: the
    file that the run names, if it does and it is there). ``density``: a map phased from the run's
    intensity (default: ``phasing/density.mrc`` in its directory). What the run has not left is
    named and left out. Raises :class:`FormatError` for a directory that holds no run, a damaged
    file, or another run's patterns.
    """
    run = read_run(directory, density)
    page = page_of(run, patterns or own_patterns(run))
    write_text(path, page)


def page_of(run: Run, patterns: Path | None, refresh_s: float = 0.0) -> str:
    """Return the page; with ``refresh_s`` it asks its server for news so often."""
    sections, missing = sections_of(run, patterns)
    cubes = [viewer.intensity_cube(run.intensity, run.s_range)] if run.intensity else []
    cubes += [viewer.density_cube(run.density)] if run.density else []
    cubes = [cube for cube in cubes if cube.levels]
    return render(
        "xrai/report/page.html.j2",
        directory=str(run.directory),
        status=status(run),
        head=head(run),
        warnings=run.warnings,
        # Base64, numbers and names of ours: nothing in it could end the script element.
        surfaces=Markup(viewer.packed(cubes)) if cubes else "",
        sections=sections,
        missing=missing,
        summary=_rows(run),
        config=run.config,
        refresh_s=refresh_s,
    )


def status(run: Run) -> str:
    """Return in a sentence how far the run is."""
    if run.finished:
        return "This run has finished."
    if not run.events:
        return "This run has begun, and has told nothing yet."
    last = (run.directory / "metrics.jsonl").stat().st_mtime
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(last))
    event = run.events[-1]["event"]
    return f"This run goes on, or was interrupted: it last told of “{event}” at {when}."


def head(run: Run) -> list[tuple[str, str]]:
    """Return the figures that come first, as (name, value)."""
    known, found = run.result, resolution(run)
    seen = known.patterns if known else _last(run.column("patterns_seen"))
    elapsed = known.seconds if known else _last(figure_of(run.events[-1:], "elapsed_s"))
    speed = known.patterns_per_s if known else _last(run.column("patterns_per_s"))
    figures = [
        ("patterns", wording.figure(seen, "{:,.0f}")),
        ("taken in, repeats counted", wording.figure(_last(run.patterns_taken()), "{:,.0f}")),
        (f"resolution, {found[1]}" if found else "", found[0] if found else ""),
        (
            "log-likelihood per pattern",
            wording.figure(_last(run.column("loglik_per_pattern")), "{:,.1f}"),
        ),
        ("outliers", wording.figure(_last(run.column("outliers")), "{:.1%}")),
        ("time", "" if elapsed is None else wording.duration(elapsed)),
        ("patterns per second", wording.figure(speed, "{:,.0f}")),
        ("peak memory", wording.figure(known.peak_memory_gib if known else None, "{:.2f} GiB")),
        ("hardware", str(known.hardware or known.device) if known else ""),
    ]
    return [(name, value) for name, value in figures if value]


def own_patterns(run: Run) -> Path | None:
    """Return the pattern file that the run names, if it is there."""
    return run.patterns if run.patterns is not None and run.patterns.is_file() else None


def _rows(run: Run) -> list[tuple[str, str]]:
    rows = run.result.rows() if run.result else {}
    return [(name, wording.text(value)) for name, value in rows.items()]


def _last(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None
