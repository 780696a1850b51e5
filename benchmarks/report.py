"""One self-contained HTML page: table, curves, central slices and the full configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks import leaderboard, lifecycle, record, report_figures
from benchmarks.metrics import METRICS, Metric, ShellCurve
from benchmarks.record import RECORD_FILE, Record
from benchmarks.slices import SLICES_FILE, Slices
from xraisim.core.errors import FormatError
from xraisim.files.atomic import disk_errors, write_text
from xraisim.html_page import embed, render


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A record, and the slices of its volumes where they are still there."""

    record: Record
    slices: Slices | None = None


def load(directory: Path) -> list[Shown]:
    """Return the records below a directory, or in a file, with the slices beside them."""
    record.read_all(directory)  # says what is wrong with a directory that holds none
    paths = [directory] if directory.is_file() else record.record_paths(directory)
    return [
        with_slices(record.read(path), path.parent) if path.name == RECORD_FILE
        else Shown(record=record.read(path))
        for path in paths
    ]  # fmt: skip


def with_slices(one: Record, directory: Path) -> Shown:
    """Return a record with the slices that its run left in ``directory``, if any."""
    path = directory / SLICES_FILE
    return Shown(record=one, slices=Slices.load(path) if path.exists() else None)


def write(path: Path, shown: Sequence[Shown]) -> None:
    """Write the page; it appears under its name only when it is whole."""
    names = dict.fromkeys(one.record.task for one in shown)
    page = render(
        "benchmarks/report.html.j2",
        tasks=[_task([one for one in shown if one.record.task == name]) for name in names],
    )
    write_text(path, page)


def write_picture(path: Path, shown: Sequence[Shown]) -> None:
    """Write slices and density curves of the first task as an image (PNG or SVG by its suffix).

    Raises :class:`FormatError` where no run has its slices.
    """
    mine = _ordered([one for one in shown if one.record.task == shown[0].record.task])
    planes = _first_slices(mine)
    if not planes:
        raise FormatError("no slices beside these records; give the work directory of a run")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        report_figures.overview([one.record for one in mine], planes).savefig(path, dpi=110)


def _ordered(shown: Sequence[Shown]) -> list[Shown]:
    """Return finished runs in the order of the leaderboard."""
    rank = {
        (entry.task, entry.label): number
        for number, entry in enumerate(leaderboard.entries(one.record for one in shown))
    }
    finished = [one for one in shown if not one.record.error and lifecycle.counts(one.record)]
    return sorted(finished, key=lambda s: (rank[s.record.task, s.record.label], s.record.seed))


def _first_slices(ordered: Sequence[Shown]) -> list[tuple[str, Slices]]:
    """Return the slices of the first seed of each method that has any."""
    found: dict[str, Slices] = {}
    for one in ordered:
        if one.slices is not None:
            found.setdefault(one.record.label, one.slices)
    return list(found.items())


def _task(shown: Sequence[Shown]) -> dict[str, Any]:
    found = leaderboard.entries(one.record for one in shown)
    columns = leaderboard.columns(found)
    ordered = _ordered(shown)
    planes = _first_slices(ordered)
    any_record = shown[0].record
    return {
        "name": any_record.task,
        "summary": any_record.config.get("summary", ""),
        "columns": [column.name for column in columns],
        "rows": [leaderboard.row(entry, columns) for entry in found],
        "methods": [entry.label for entry in found],
        "metrics": [_metric(metric, found) for metric in leaderboard.metrics_in(found)],
        "failures": leaderboard.failures(found),
        "notes": [*leaderboard.notes(found), *lifecycle.left_out(one.record for one in shown)],
        "curves": _curves([one.record for one in ordered]),
        "slices": embed(report_figures.slices(planes), "png") if planes else "",
        "config": tomli_w.dumps(any_record.config),
        "provenance": [leaderboard.provenance(found)] if found else [],
    }


def _metric(metric: Metric, found: Sequence[leaderboard.Entry]) -> dict[str, Any]:
    return {
        "name": metric.name,
        "rule": metric.rule,
        "unit": metric.unit,
        "better": metric.better,
        "cells": [leaderboard.metric_cell(entry, metric) for entry in found],
    }


def _curves(records: Sequence[Record]) -> list[dict[str, str]]:
    """Return a figure per curve, with every threshold at which a metric is read from it."""
    levels: dict[ShellCurve, list[float]] = {}
    for one in METRICS.values():
        if one.curve is not None and one.threshold is not None:
            levels.setdefault(one.curve, []).append(one.threshold)
    figures = {
        curve.title: report_figures.curves(records, curve.name, curve.title, thresholds)
        for curve, thresholds in levels.items()
        if any(record.curve(curve.name) for record in records)
    }
    return [{"title": title, "address": embed(one, "svg")} for title, one in figures.items()]
