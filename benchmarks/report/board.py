"""The table of all tasks: cells with what they sort by, and what rows are filtered by."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import leaderboard
from benchmarks.leaderboard import CEILING, FLOOR, Column, Entry
from benchmarks.metrics import Metric
from benchmarks.record import RUN
from benchmarks.report.style import Look
from benchmarks.task import suites

_FILTERS = ("suite", "task", "method", "origin")


def board(found: Sequence[Entry], look: Mapping[str, Look]) -> dict[str, Any]:
    """Return headings, rows and filters of the table; only what differs is filtered by."""
    columns = leaderboard.columns(found)
    best = _best(found)
    suite_of = {task: suite for suite, tasks in suites().items() for task in tasks}
    rows = [
        {
            "suite": suite_of.get(entry.task.partition("@")[0], ""),
            **_row(entry, columns, best, look[entry.label].colour),
        }
        for entry in found
    ]
    choices = {
        name: list(dict.fromkeys(row[name] for row in rows if row[name])) for name in _FILTERS
    }
    return {
        "headings": ["task", *(column.name for column in columns), "machine"],
        "rows": rows,
        "filters": {name: values for name, values in choices.items() if len(values) > 1},
    }


def _row(
    entry: Entry, columns: Sequence[Column], best: set[tuple[str, str, str]], colour: str
) -> dict[str, Any]:
    cells = []
    for column, text in zip(columns, leaderboard.row(entry, columns), strict=True):
        cells.append(
            {
                **cell(text),
                "sort": _median(entry, column.quantity),
                "words": False,
                "best": (entry.task, entry.label, column.quantity) in best,
            }
        )
    cells[1]["sort"] = len(entry.records)
    cells.append({"text": _machines(entry), "spread": "", "words": True})
    return {
        "task": entry.task,
        "title": leaderboard.title(entry.task),
        "method": entry.method,
        "origin": entry.origin,
        "colour": colour,
        "cells": cells,
        "failed": not entry.records,
        "bound": _is_bound(entry),
    }


def cell(text: str) -> dict[str, str]:
    """Return the text of a cell of the leaderboard with the range over seeds apart."""
    middle, _, spread = text.partition(" (")
    return {"text": middle, "spread": spread.removesuffix(")")}


def _machines(entry: Entry) -> str:
    """Name the accelerators, or the number of cores, that the runs had."""
    found = [one.hardware for one in (*entry.records, *entry.failed)]
    named = (one.gpu or (f"{one.cores} cores" if one.cores else "") for one in found)
    return ", ".join(dict.fromkeys(filter(None, named)))


def _median(entry: Entry, quantity: str) -> float | None:
    """Return what a cell sorts by; None, which comes last, where there is nothing finite."""
    if not quantity or quantity not in entry.over_seeds.index:
        return None
    number = float(entry.over_seeds["median"][quantity])
    return number if math.isfinite(number) else None


def _best(found: Sequence[Entry]) -> set[tuple[str, str, str]]:
    """Return task, label and metric of the best medians, where methods compete: bounds do not."""
    best = set()
    for task in dict.fromkeys(entry.task for entry in found):
        rivals = [entry for entry in found if entry.task == task and not _is_bound(entry)]
        for metric in leaderboard.metrics_in(rivals):
            one_sided = metric.ideal is None  # else neither less nor more is better
            if one_sided and len(rivals) > 1:
                best |= {(task, one.label, metric.name) for one in _leaders(rivals, metric)}
    return best


def _leaders(rivals: Sequence[Entry], metric: Metric) -> list[Entry]:
    """Return those with the best median; all at the edge of the data, if the best one is there."""
    medians = {one.label: n for one in rivals if (n := _median(one, metric.name)) is not None}
    if not medians:
        return []
    first = min(medians.values()) if metric.better == "lower" else max(medians.values())
    ranked = [one for one in rivals if one.label in medians]
    leaders = [one for one in ranked if medians[one.label] == first]
    if any(_at_edge(one, metric) for one in leaders):
        return [one for one in ranked if _at_edge(one, metric)]
    return leaders


def _at_edge(entry: Entry, metric: Metric) -> bool:
    return bool(entry.over_seeds["reached_edge"][metric.name])


def _is_bound(entry: Entry) -> bool:
    return entry.origin == RUN and entry.method in (CEILING, FLOOR)
