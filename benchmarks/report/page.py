"""One self-contained HTML page: table, plots, slices, surfaces and the full configuration."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from benchmarks import leaderboard, lifecycle
from benchmarks.leaderboard import Entry
from benchmarks.metrics import Metric
from benchmarks.record import Record
from benchmarks.report import curves, effort, ladder, volumes
from benchmarks.report.board import board, cell
from benchmarks.report.plot import Plot
from benchmarks.report.shown import Shown, ordered
from benchmarks.report.style import Look, looks
from xraisim.core.json_text import to_json
from xraisim.files.atomic import write_text
from xraisim.html_page import render

_MOST_COLUMNS = 60  # of slices and surfaces on a page, about 0.1 MB each


def write(path: Path, shown: Sequence[Shown]) -> None:
    """Write the page; it appears under its name only when it is whole."""
    write_text(path, page_of(shown))


def page_of(shown: Sequence[Shown]) -> str:
    """Return the page of these runs."""
    records = [one.record for one in shown]
    found = sorted(leaderboard.entries(records), key=lambda entry: _natural(entry.task))
    look = looks(entry.label for entry in found)
    tasks, room = [], _MOST_COLUMNS
    for name in dict.fromkeys(entry.task for entry in found):
        tasks.append(_task([one for one in shown if one.record.task == name], look, room))
        room -= len(tasks[-1]["columns"])
    ladders = ladder.plots(found, look)
    placed = {"ladder": ladders, **{f"task{n}": task["plots"] for n, task in enumerate(tasks)}}
    return render(
        "benchmarks/report/page.html.j2",
        plotly=Markup(get_plotlyjs()),
        board=board(found, look),
        ladders=ladders,
        tasks=tasks,
        counts=_counts(records),
        figures=_figures(placed),
        surfaces=htmlsafe_json_dumps([_surfaces(task["columns"]) for task in tasks], to_json),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts the numbers within names by their size."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _figures(placed: Mapping[str, Sequence[Plot]]) -> Markup:
    """Return the figures of plots as JSON, by place, number of the plot and choice."""
    figures = {place: [plot.figures for plot in plots] for place, plots in placed.items()}
    return htmlsafe_json_dumps(figures, to_json)


def _surfaces(columns: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [{"colour": one["colour"], "cube": one["surface"]} for one in columns]


def _counts(records: Sequence[Record]) -> dict[str, Any]:
    dates = sorted(one.date[:10] for one in records)
    return {
        "runs": len(records),
        "tasks": len({one.task for one in records}),
        "methods": len({one.label for one in records}),
        "first": dates[0] if dates else "",
        "last": dates[-1] if dates else "",
    }


def _task(shown: Sequence[Shown], look: Mapping[str, Look], room: int) -> dict[str, Any]:
    """Return the part of a task; ``room``: for how many columns of slices and surfaces."""
    found = leaderboard.entries(one.record for one in shown)
    runs = ordered(shown)
    finished = [one.record for one in runs]
    any_record = shown[0].record
    columns = volumes.columns(runs, look)
    return {
        "name": any_record.task,
        "title": leaderboard.title(any_record.task),
        "summary": any_record.config.get("summary", ""),
        "facts": _facts(any_record),
        "methods": [entry.label for entry in found],
        "metrics": [_metric(metric, found) for metric in leaderboard.metrics_in(found)],
        "failures": leaderboard.failures(found),
        "notes": [*leaderboard.notes(found), *lifecycle.left_out(one.record for one in shown)],
        "plots": [*curves.plots(finished, look), *effort.plots(found, look)],
        "columns": columns if len(columns) <= room else [],
        "left_out": len(columns) > room,
        "scale": volumes.scale_note(runs),
        "runs": [_run(one, look) for entry in found for one in (*entry.records, *entry.failed)],
        "config": tomli_w.dumps(any_record.config),
        "provenance": leaderboard.provenance(found),
    }


def _facts(one: Record) -> list[tuple[str, str]]:
    """Return what a reader wants to know of the data first."""
    facts = [("version", str(one.task_version)), ("patterns", f"{one.patterns:,}")]
    if one.photons_per_pattern:
        facts.append(("photons per pattern", f"{one.photons_per_pattern:,.0f}"))
    if one.photons_beyond:
        facts.append(("of these beyond s·D = 1.2", f"{one.photons_beyond:,.0f}"))
    return facts


def _metric(metric: Metric, found: Sequence[Entry]) -> dict[str, Any]:
    return {
        "name": metric.name,
        "rule": metric.rule,
        "unit": metric.unit,
        "better": metric.aim,
        "cells": [cell(leaderboard.metric_cell(entry, metric)) for entry in found],
    }


def _run(one: Record, look: Mapping[str, Look]) -> dict[str, Any]:
    """Return a row of the table of runs."""
    return {
        "label": one.label,
        "colour": look[one.label].colour,
        "seed": one.seed,
        "date": one.date[:10],
        "machine": leaderboard.machine_of(one),
        "seconds": ", ".join(f"{stage} {value:,.0f} s" for stage, value in one.seconds.items()),
        "versions": ", ".join(f"{name} {version}" for name, version in one.versions.items()),
        "commit": one.commit,
        "warnings": one.warnings,
        "error": one.error,
    }
