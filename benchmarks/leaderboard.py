"""The leaderboard: medians over seeds of the newest records, as a terminal table or Markdown."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from benchmarks.record import NOT_INSTALLED, Record

ICC, FSC, PRTF = "icc_truth_0.5", "fsc_truth_0.5", "prtf_1/e"
CEILING, FLOOR = "oracle", "floor"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method on one task: the newest record of each seed, failed runs apart."""

    task: str
    method: str
    records: tuple[Record, ...]
    failed: tuple[Record, ...]


def entries(records: Iterable[Record]) -> list[Entry]:
    """Group records by task and method: ceiling first, then methods by resolution, floor last."""
    newest: dict[tuple[str, str, int], Record] = {}
    for record in sorted(records, key=lambda one: one.date):
        newest[record.task, record.method, record.seed] = record
    groups: dict[tuple[str, str], list[Record]] = {}
    for (task, method, _), record in sorted(newest.items()):
        groups.setdefault((task, method), []).append(record)
    made = [
        Entry(
            task=task,
            method=method,
            records=tuple(one for one in group if not one.error),
            failed=tuple(one for one in group if one.error),
        )
        for (task, method), group in groups.items()
    ]
    return sorted(made, key=_rank)


def _rank(entry: Entry) -> tuple:
    place = {CEILING: 0, FLOOR: 2}.get(entry.method, 1)
    return entry.task, place, median_angstrom(entry, FSC), entry.method


def median_angstrom(entry: Entry, rule: str) -> float:
    """Return the median resolution in Å; a run without one counts as infinitely coarse."""
    return _median([angstrom(one, rule) for one in entry.records])


def angstrom(record: Record, rule: str) -> float:
    """Return a record's resolution in Å by ``rule``; infinite where there is none."""
    found = record.resolution(rule)
    return found.angstrom if found and found.angstrom is not None else math.inf


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.inf


def _resolution(rule: str) -> Callable[[Entry], str]:
    def cell(entry: Entry) -> str:
        values = [angstrom(one, rule) for one in entry.records]
        if not any(one.resolution(rule) for one in entry.records):
            return "–"
        edge = any(
            found.reached_edge
            for one in entry.records
            if (found := one.resolution(rule)) and found.angstrom == _median(values)
        )
        return ("≤ " if edge else "") + _spread(values, ".1f", "not resolved")

    return cell


def _number(value: Callable[[Record], float | None], form: str) -> Callable[[Entry], str]:
    def cell(entry: Entry) -> str:
        values = [found for one in entry.records if (found := value(one)) is not None]
        return _spread(values, form, "–") if values else "–"

    return cell


def _spread(values: Sequence[float], form: str, absent: str) -> str:
    """Format the median, with the range behind it where there are several seeds."""
    low, middle, high = min(values), _median(values), max(values)
    shown = [format(v, form) if math.isfinite(v) else absent for v in (low, middle, high)]
    return shown[1] if shown[0] == shown[2] else f"{shown[1]} ({shown[0]} … {shown[2]})"


def _pose(name: str) -> Callable[[Entry], str]:
    return _number(lambda one: getattr(one.pose_error, name) if one.pose_error else None, ".2f")


@dataclass(frozen=True, kw_only=True)
class Column:
    """``name`` in pages, ``short`` (with line breaks) on a terminal.

    ``brief``: a terminal shows the median without its range.
    """

    name: str
    short: str
    cell: Callable[[Entry], str]
    brief: bool

    def narrow(self, text: str) -> str:
        """Return a cell for a terminal, the range below its median."""
        if self.brief:
            return text.split(" (")[0]
        return text.replace(" (", "\n(").replace(" … ", "–").replace("not resolved", "none")


def _column(name: str, short: str, cell: Callable[[Entry], str], *, brief: bool = True) -> Column:
    return Column(name=name, short=short, cell=cell, brief=brief)


COLUMNS = (
    _column("method", "method", lambda entry: entry.method),
    _column("seeds", "seeds", lambda entry: str(len(entry.records)), brief=False),
    _column(f"{ICC} (Å)", "icc\ntruth\n0.5 (Å)", _resolution(ICC), brief=False),
    _column(f"{FSC} (Å)", "fsc\ntruth\n0.5 (Å)", _resolution(FSC), brief=False),
    _column(f"{PRTF} (Å)", "prtf\n1/e\n(Å)", _resolution(PRTF)),
    _column("pose error, median (°)", "pose\nerror\n(°)", _pose("median_deg")),
    _column("modulo mate (°)", "modulo\nmate\n(°)", _pose("median_modulo_mate_deg")),
    _column("patterns/s", "patt.\n/s", _number(lambda one: one.patterns_per_s or None, ",.0f")),
    _column("time (s)", "time\n(s)", _number(lambda one: one.total_seconds, ".0f")),
    _column("memory (GiB)", "mem.\n(GiB)", _number(lambda one: one.peak, ".1f")),
)


def row(entry: Entry) -> list[str]:
    """Return the cells of an entry, in the order of :data:`COLUMNS`."""
    if not entry.records:
        absent = all(one.not_installed for one in entry.failed)
        return [entry.method, NOT_INSTALLED if absent else "failed", *[""] * (len(COLUMNS) - 2)]
    cells = [column.cell(entry) for column in COLUMNS]
    if entry.failed:
        cells[1] += f" ({len(entry.failed)} failed)"
    return cells


def failures(found: Sequence[Entry]) -> list[str]:
    """Return why runs failed, one line per run."""
    return [
        f"{entry.task}, {entry.method}, seed {one.seed} failed: {one.error}"
        for entry in found
        for one in entry.failed
        if not one.not_installed
    ]


def tables(found: Sequence[Entry]) -> list[Table]:
    """Return one terminal table per task."""
    made = []
    for task in dict.fromkeys(entry.task for entry in found):
        table = Table(title=f"{task}: medians over seeds (range)", box=box.SIMPLE_HEAD, padding=0)
        for number, column in enumerate(COLUMNS):
            table.add_column(column.short, justify="right" if number else "left")
        for entry in found:
            if entry.task == task:
                # Ten columns have to fit into eighty characters.
                cells = zip(COLUMNS, row(entry), strict=True)
                table.add_row(*(column.narrow(text) for column, text in cells))
        made.append(table)
    return made


_HEAD = """# Leaderboard

Made from the records in `benchmarks/records/` by `xrai-bench table --write LEADERBOARD.md`.
Medians over seeds, with the range where it is wider than the last digit. `oracle` merges the
patterns at their true orientations (the ceiling), `floor` at random ones. Resolutions are first
crossings by the [rule](docs/explanation/conventions.md) that heads the column: `icc` compares
intensities, `fsc` densities. `≤` marks a curve that never falls below the threshold: the data end
there. Pose errors are angles after the global alignment, whose own error is what the oracle shows.
Time is everything after the simulation: reconstruction, phasing, scoring; patterns/s is the
reconstruction alone.
"""


def markdown(found: Sequence[Entry]) -> str:
    """Return LEADERBOARD.md."""
    parts = [_HEAD]
    for task in dict.fromkeys(entry.task for entry in found):
        mine = [entry for entry in found if entry.task == task]
        names = [column.name for column in COLUMNS]
        lines = [f"## {task}", "", _line(names), _line(["---"] + ["---:"] * (len(names) - 1))]
        lines += [_line(row(entry)) for entry in mine]
        parts.append("\n".join([*lines, "", *failures(mine), provenance(mine)]))
    return "\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def provenance(mine: Sequence[Entry]) -> str:
    """Say on what machines, with what versions and when the rows were made."""
    records = [one for entry in mine for one in (*entry.records, *entry.failed)]
    machines = sorted(
        {
            f"{one.hardware.cpu}, {one.hardware.cores} cores, {one.hardware.memory_gib:.0f} GiB"
            + (f", {one.hardware.gpu}" if one.hardware.gpu else "")
            for one in records
        }
    )
    versions = sorted({f"x-rai {one.versions.get('x-rai', '?')}" for one in records})
    dates = sorted(one.date[:10] for one in records)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} … {dates[-1]}"
    return f"{'; '.join(machines)}. {', '.join(versions)}. {when}."
