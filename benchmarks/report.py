"""One self-contained HTML page: table, curves, central slices and the full configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks import figures, leaderboard, record
from benchmarks.record import RECORD_FILE, Record
from benchmarks.slices import SLICES_FILE, Slices
from xraisim.core.errors import FormatError
from xraisim.files.atomic import disk_errors, write_text
from xraisim.html_page import embed, render

_CURVES = (
    ("fsc_truth", "Density against the truth: Fourier shell correlation", 0.5),
    ("icc_truth", "Intensity against the truth: Pearson correlation per shell", 0.5),
    ("prtf", "Phase retrieval transfer function", 0.3679),
)


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
        columns=[column.name for column in leaderboard.COLUMNS],
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
        figures.overview([one.record for one in mine], planes).savefig(path, dpi=110)


def _ordered(shown: Sequence[Shown]) -> list[Shown]:
    """Return finished runs in the order of the leaderboard."""
    rank = {
        (entry.task, entry.method): number
        for number, entry in enumerate(leaderboard.entries(one.record for one in shown))
    }
    finished = [one for one in shown if not one.record.error]
    return sorted(finished, key=lambda s: (rank[s.record.task, s.record.method], s.record.seed))


def _first_slices(ordered: Sequence[Shown]) -> list[tuple[str, Slices]]:
    """Return the slices of the first seed of each method that has any."""
    found: dict[str, Slices] = {}
    for one in ordered:
        if one.slices is not None:
            found.setdefault(one.record.method, one.slices)
    return list(found.items())


def _task(shown: Sequence[Shown]) -> dict[str, Any]:
    found = leaderboard.entries(one.record for one in shown)
    ordered = _ordered(shown)
    planes = _first_slices(ordered)
    any_record = shown[0].record
    return {
        "name": any_record.task,
        "summary": any_record.config.get("summary", ""),
        "rows": [leaderboard.row(entry) for entry in found],
        "failures": leaderboard.failures(found),
        "curves": _curves([one.record for one in ordered]),
        "slices": embed(figures.slices(planes), "png") if planes else "",
        "config": tomli_w.dumps(any_record.config),
        "provenance": [leaderboard.provenance(found)],
    }


def _curves(records: Sequence[Record]) -> list[dict[str, str]]:
    return [
        {
            "title": title,
            "address": embed(figures.curves(records, name, title, threshold), "svg"),
        }
        for name, title, threshold in _CURVES
        if any(one.curve(name) for one in records)
    ]
