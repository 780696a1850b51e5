"""The leaderboard: medians over seeds of the newest records, as a terminal table or Markdown."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from rich import box
from rich.table import Table

from benchmarks import dataframe, lifecycle
from benchmarks.metrics import METRICS, Metric, fsc_truth
from benchmarks.record import NOT_INSTALLED, NOT_RUN, PROPOSED, RUN, Record

RANKED_BY = METRICS[fsc_truth.NAME]
CEILING, FLOOR = "oracle", "floor"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method on one task: the newest record of each seed, failed runs apart.

    What somebody reports of a method is not mixed with runs of it (``origin``), nor runs within a
    budget with others (``division``). ``over_seeds``: the rows of :func:`benchmarks.over_seeds`, by
    quantity.
    """

    task: str
    method: str
    origin: str
    division: str
    records: tuple[Record, ...]
    failed: tuple[Record, ...]
    over_seeds: pd.DataFrame

    @property
    def label(self) -> str:
        """The method as tables and figures name it."""
        return (*self.records, *self.failed)[0].label


def entries(records: Iterable[Record]) -> list[Entry]:
    """Group records by task and method: ceiling first, then methods by density, floor last.

    Superseded and withdrawn ones are left out: :func:`benchmarks.lifecycle.left_out`.
    """
    listed = list(records)
    latest = dataframe.newest(dataframe.runs(listed))
    statistics = dataframe.over_seeds(latest).reset_index(dataframe.ROW)
    made = []
    for row_of, rows in latest.groupby(dataframe.ROW):
        group = [listed[place] for place in rows.index]
        mine = (statistics[dataframe.ROW] == list(row_of)).all(axis=1)
        made.append(
            Entry(
                **dict(zip(dataframe.ROW, row_of, strict=True)),
                records=tuple(one for one in group if not one.error),
                failed=tuple(one for one in group if one.error),
                over_seeds=statistics[mine],
            )
        )
    return sorted(made, key=_rank)


def _rank(entry: Entry) -> tuple[str, int, float, str]:
    place = {CEILING: 0, FLOOR: 2}.get(entry.method, 1) if entry.origin == RUN else 1
    reached = entry.over_seeds["median"].get(RANKED_BY.name, RANKED_BY.worst)
    return entry.task, place, reached, entry.method


def title(task: str) -> str:
    """Return a task as tables and figures name it: a tenth of ``quick`` is ``quick × 0.1``."""
    return task.replace("@", " × ")


def metric_cell(entry: Entry, metric: Metric) -> str:
    """Return the median of a metric, with its range over seeds, or a dash."""
    edge = entry.over_seeds["reached_edge"].get(metric.name, False)
    sign = {"lower": "≤ ", "higher": "≥ "}[metric.better] if edge else ""
    return sign + _spread(entry, metric.name, metric.text)


def _spread(entry: Entry, quantity: str, text: Callable[[float], str]) -> str:
    """Format the median, with the range behind it where seeds differ; a dash if no seed has it."""
    if quantity not in entry.over_seeds.index:
        return "–"
    found = entry.over_seeds.loc[quantity]
    low, middle, high = (text(found[name]) for name in ("min", "median", "max"))
    return middle if low == high else f"{middle} ({low} … {high})"


@dataclass(frozen=True, kw_only=True)
class Column:
    """``name`` in pages, ``short`` (with line breaks) on a terminal; empty: not on a terminal.

    ``brief``: a terminal shows the median without its range. ``quantity``: that of the cells in
    :func:`benchmarks.over_seeds`, empty where they are no numbers of it.
    """

    name: str
    short: str
    cell: Callable[[Entry], str]
    brief: bool
    quantity: str = ""

    def narrow(self, text: str) -> str:
        """Return a cell for a terminal, the range below its median."""
        if self.brief:
            return text.split(" (")[0].replace(", ", ",\n").replace("self-", "self-\n")
        return text.replace(" (", "\n(").replace(" … ", "–").replace("not resolved", "none")


def _column(
    name: str, short: str, cell: Callable[[Entry], str], quantity: str = "", *, brief: bool = True
) -> Column:
    return Column(name=name, short=short, cell=cell, brief=brief, quantity=quantity)


def _of_metric(metric: Metric) -> Column:
    name = metric.heading or f"{metric.name} ({metric.unit})"
    return _column(
        name,
        (metric.short or name.replace("_", "\n")) if metric.on_terminal else "",
        lambda entry: metric_cell(entry, metric),
        metric.name,
        brief=not metric.ranged,
    )


def _cost(name: str, short: str, quantity: str, form: str) -> Column:
    def cell(entry: Entry) -> str:
        return _spread(entry, quantity, lambda number: format(number, form))

    return _column(name, short, cell, quantity)


_FIRST = (
    _column("method", "method", lambda entry: entry.label),
    _column("seeds", "seeds", lambda entry: str(len(entry.records)), brief=False),
)
_LAST = (
    _cost("patterns/s", "patt.\n/s", "patterns_per_s", ",.0f"),
    _cost("time (s)", "time\n(s)", "seconds", ".0f"),
    _cost("memory (GiB)", "mem.\n(GiB)", "peak_gib", ".1f"),
)
_ENERGY = _cost("energy (J)", "", "energy_joule", ",.0f")


def metrics_in(found: Iterable[Entry]) -> list[Metric]:
    """Return the metrics that any run has, in the order in which they are registered."""
    told = {name for entry in found for name in entry.over_seeds.index}
    return [metric for metric in METRICS.values() if metric.name in told]


def columns(found: Sequence[Entry]) -> list[Column]:
    """Return the columns of a table of these entries."""
    metrics = [_of_metric(metric) for metric in metrics_in(found) if metric.in_table]
    energy = [_ENERGY] if any("energy_joule" in one.over_seeds.index for one in found) else []
    return [*_FIRST, *metrics, *_LAST, *energy]


def row(entry: Entry, shown: Sequence[Column]) -> list[str]:
    """Return the cells of an entry in the columns ``shown``."""
    if not entry.records:
        return [entry.label, _absent(entry), *[""] * (len(shown) - 2)]
    cells = [column.cell(entry) for column in shown]
    if failed := sum(one.failed for one in entry.failed):
        cells[1] += f" ({failed} failed)"
    if all(lifecycle.standing(one)[0] == PROPOSED for one in entry.records):
        cells[0] += f", {PROPOSED}"
    return cells


def _absent(entry: Entry) -> str:
    """Return what stands in a row without a result."""
    if any(one.failed for one in entry.failed):
        return "failed"
    return NOT_RUN if any(one.not_run for one in entry.failed) else NOT_INSTALLED


def failures(found: Sequence[Entry]) -> list[str]:
    """Return why runs failed or were not made, one line per run."""
    return [
        f"{title(entry.task)}, {one.label}, {one.error}" if one.not_run
        else f"{title(entry.task)}, {one.label}, seed {one.seed} failed: {one.error}"
        for entry in found
        for one in entry.failed
        if not one.not_installed
    ]  # fmt: skip


def notes(found: Sequence[Entry]) -> list[str]:
    """Return what the makers of results say of them, one line per record."""
    return [
        f"{title(entry.task)}, {one.label}: {one.notes}"
        for entry in found
        for one in entry.records
        if one.notes
    ]


def tables(found: Sequence[Entry]) -> list[Table]:
    """Return one terminal table per task."""
    made, shown = [], [column for column in columns(found) if column.short]
    for task in dict.fromkeys(entry.task for entry in found):
        table = Table(
            title=f"{title(task)}: medians over seeds (range)", box=box.SIMPLE_HEAD, padding=0
        )
        for number, column in enumerate(shown):
            table.add_column(column.short, justify="right" if number else "left")
        for entry in found:
            if entry.task == task:
                # Ten columns have to fit into eighty characters.
                cells = zip(shown, row(entry, shown), strict=True)
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
reconstruction alone. `× 0.1` behind a task: a tenth of its patterns, not to be compared with the
whole. `verified`: somebody else's result, scored here from the files submitted; `self-reported`:
scored by its maker; time, memory and machine of both are as the maker states them. `closed`: within
the budget of the task. The [rules](docs/explanation/rules.md).
"""


def markdown(found: Sequence[Entry], remarks: Sequence[str] = ()) -> str:
    """Return LEADERBOARD.md; ``remarks`` stand below its head."""
    head = "\n\n".join([_HEAD.rstrip("\n"), *remarks])
    parts, shown = [f"{head}\n"], columns(found)
    for task in dict.fromkeys(entry.task for entry in found):
        mine = [entry for entry in found if entry.task == task]
        names = [column.name for column in shown]
        lines = [
            f"## {title(task)}",
            "",
            _line(names),
            _line(["---"] + ["---:"] * (len(names) - 1)),
        ]
        lines += [_line(row(entry, shown)) for entry in mine]
        parts.append("\n".join([*lines, "", *failures(mine), *notes(mine), provenance(mine)]))
    return "\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def provenance(mine: Sequence[Entry]) -> str:
    """Say of how many photons, on what machines, with what versions and when the rows were made."""
    records = [one for entry in mine for one in (*entry.records, *entry.failed)]
    machines = sorted({machine_of(one) for one in records})
    versions = sorted({f"x-rai {one.versions.get('x-rai', '?')}" for one in records})
    dates = sorted(one.date[:10] for one in records)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} … {dates[-1]}"
    return f"{_photons(records)}{'; '.join(machines)}. {', '.join(versions)}. {when}."


def _photons(records: Sequence[Record]) -> str:
    """Return a sentence about the patterns, from the newest record that counted their photons."""
    counted = [one for one in records if one.photons_per_pattern]
    if not counted:
        return ""
    newest = max(counted, key=lambda one: (one.photons_beyond > 0, one.date))
    text = f"{newest.patterns:,} patterns, {newest.photons_per_pattern:,.0f} photons per pattern"
    beyond = newest.photons_beyond
    return (
        f"{text}, {beyond:,.0f} of them beyond s·D = 1.2. " if beyond else f"{text}, all counted. "
    )


def machine_of(one: Record) -> str:
    """Say what machine a record was made on."""
    found = one.hardware
    if not found.cores:
        return found.cpu
    size = f"{found.cpu}, {found.cores} cores, {found.memory_gib:.0f} GiB"
    return f"{size}, {found.gpu}" if found.gpu else size
