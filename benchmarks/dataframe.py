"""Records as pandas tables: one row per run, curves in long form, statistics over seeds.

What a run did not reach is infinite in the direction that is worse, so that medians count it; what
was never measured is NaN, and they do not.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import lifecycle
from benchmarks.metrics import METRICS
from benchmarks.record import RECORDS, Curve, Record, read_all

EDGE = "_reached_edge"
_ONLY_SCORED = {"phase", "score"}  # the stages of a result that was made elsewhere
COSTS = ("seconds", "peak_gib", "energy_joule", "patterns_per_s")
ROW = ["task", "method", "origin", "division"]  # what one row of the leaderboard is
_RUN = [*ROW, "seed"]


def load(source: Path | str | None = None) -> pd.DataFrame:
    """Return records as a tidy table, one row each, in order of date.

    ``source``: a directory of records, a work directory of ``xrai-bench run`` or one file; None:
    the records that ship. Columns:

    - ``task``, ``method``, ``origin`` (``run``, ``self-reported`` or ``verified``), ``division``
      (``open`` or ``closed``), ``seed`` (the method's), ``data_seed`` (that of the patterns);
    - ``status``: proposed, live, superseded or withdrawn, as :mod:`benchmarks.lifecycle` has it;
    - ``date`` (UTC), ``commit``, ``config_hash``, ``version`` (of x-rai);
    - ``cpu``, ``cores``, ``memory_gib``, ``gpu`` (empty where none was used);
    - ``task_version``, ``scale`` (below 1 for a part of a task, whose name is then ``quick@0.1``),
      ``patterns``, ``photons_per_pattern`` (all), ``photons_beyond`` (those beyond s·D = 1.2, NaN
      where they were not counted), ``patterns_per_s`` (of the reconstruction);
    - ``seconds``: everything after the simulation, and ``seconds_<stage>`` of every stage;
      ``peak_gib``: the largest resident memory, GiB, and ``peak_gib_<stage>`` up to its end;
      ``energy_joule`` of the processors and ``energy_joule_<stage>``, NaN where no machine told;
    - every registered metric under its name, in its own unit: infinite where a run did not get that
      far (the sign that is worse), NaN where the record does not have it; ``<metric>_reached_edge``
      (bool) of those read from a curve: the data end there, the value is as good or better;
    - ``warnings``: how many things the run said against itself; ``error``: empty for a run that
      finished.

    Raises :class:`xraisim.core.errors.FormatError` where there are no records, or a damaged one.
    """
    return runs(_records(source))


def load_curves(source: Path | str | None = None) -> pd.DataFrame:
    """Return the curves of records in long form, one row per shell.

    ``source`` and errors as those of :func:`load`. Columns: ``task``, ``method``, ``origin``,
    ``division``, ``seed``, ``date`` (with these, the row of :func:`load`), ``curve`` (such as
    ``fsc_truth``), ``s`` in Å⁻¹ and ``value``. Shells without a value are left out.
    """
    return curves(_records(source))


def load_trajectories(source: Path | str | None = None) -> pd.DataFrame:
    """Return what runs said of themselves on their way in long form, one row per point.

    ``source`` and errors as those of :func:`load`. Columns: ``task``, ``method``, ``origin``,
    ``seed``, ``date`` (with these, the row of :func:`load`), ``trajectory`` (the rule, such as
    ``icc_half_0.143``) and its ``unit``, ``against`` (``seconds``, or ``patterns`` looked at so
    far), ``x``, ``value`` (infinite where the run was not that far) and ``reached_edge`` (bool:
    what was compared ended there, the value was as good or better). Records of before have none.
    """
    return trajectories(_records(source))


def load_reliability(source: Path | str | None = None) -> pd.DataFrame:
    """Return how far stated errors of poses are those that poses have, one row per bin.

    ``source`` and errors as those of :func:`load`. Columns: ``task``, ``method``, ``origin``,
    ``seed``, ``date`` (with these, the row of :func:`load`), ``stated_deg`` and ``actual_deg``
    (root mean squares in the bin, actual modulo mate and point group) and ``patterns`` in it. Only
    methods that state errors have rows.
    """
    return reliabilities(_records(source))


def _records(source: Path | str | None) -> list[Record]:
    return read_all(RECORDS if source is None else Path(source))


def runs(records: Iterable[Record]) -> pd.DataFrame:
    """Return the table of :func:`load` of these records, in their order."""
    listed = list(records)
    table = pd.DataFrame(
        {
            **_identity(listed),
            **_stages("seconds", [one.seconds for one in listed]),
            **_stages("peak_gib", [one.peak_gib for one in listed]),
            **_stages("energy_joule", [one.energy_joule for one in listed]),
            **_metrics(listed),
            "warnings": [len(one.warnings) for one in listed],
            "error": [one.error for one in listed],
        }
    )
    return _dated(
        table.assign(
            seconds=[one.total_seconds if _is_told(one.seconds) else np.nan for one in listed],
            peak_gib=[one.peak if _is_told(one.peak_gib) else np.nan for one in listed],
            energy_joule=[one.total_joule for one in listed],
        ).astype(dict.fromkeys([*COSTS, *METRICS], float))
    )


def _identity(listed: Sequence[Record]) -> dict[str, list[Any]]:
    of_record = ("task", "method", "origin", "seed", "data_seed", "date", "commit", "config_hash")
    of_machine = ("cpu", "cores", "memory_gib", "gpu")
    of_data = ("task_version", "scale", "patterns", "photons_per_pattern")
    return {
        **{name: [getattr(one, name) for one in listed] for name in of_record},
        "division": [one.division for one in listed],
        "status": [lifecycle.standing(one)[0] for one in listed],
        "version": [one.versions.get("x-rai", "") for one in listed],
        **{name: [getattr(one.hardware, name) for one in listed] for name in of_machine},
        **{name: [getattr(one, name) for one in listed] for name in of_data},
        "photons_beyond": [one.photons_beyond or np.nan for one in listed],
        "patterns_per_s": [one.patterns_per_s or np.nan for one in listed],
    }


def _stages(name: str, told: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return a column for the whole, to be filled, and one for every stage that any run had."""
    stages = dict.fromkeys(stage for one in told for stage in one)
    of_each = {
        f"{name}_{stage.replace(' ', '_')}": [one.get(stage, np.nan) for one in told]
        for stage in stages
    }
    return {name: [np.nan] * len(told), **of_each}


def _is_told(stages: Mapping[str, float]) -> bool:
    """Whether stages say what a result cost to make, and not only to score."""
    return bool(stages.keys() - _ONLY_SCORED)


def _metrics(listed: Sequence[Record]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for name, metric in METRICS.items():
        values = [one.metrics.get(name) for one in listed]
        columns[name] = [np.nan if one is None else metric.number(one) for one in values]
        edges = [one is not None and one.reached_edge for one in values]
        if metric.threshold is not None or any(edges):
            columns[name + EDGE] = edges
    return columns


def _dated(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with dates as dates; what is none, in another program's record, is NaT."""
    date = pd.to_datetime(table["date"], utc=True, format="ISO8601", errors="coerce")
    return table.assign(date=date)


def curves(records: Iterable[Record]) -> pd.DataFrame:
    """Return the table of :func:`load_curves` of these records, in their order."""
    parts = [_long(one, curve) for one in records for curve in one.curves]
    if not parts:
        return pd.DataFrame(columns=[*_RUN, "date", "curve", "s", "value"])
    return _dated(pd.concat(parts, ignore_index=True))


def _long(one: Record, curve: Curve) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task": one.task,
            "method": one.method,
            "origin": one.origin,
            "division": one.division,
            "seed": one.seed,
            "date": one.date,
            "curve": curve.name,
            "s": np.asarray(curve.s_per_angstrom, float),
            "value": np.asarray(curve.value, float),
        }
    )


def trajectories(records: Iterable[Record]) -> pd.DataFrame:
    """Return the table of :func:`load_trajectories` of these records, in their order."""
    rows = [
        (
            *(getattr(one, name) for name in _RUN),
            *(one.date, told.name, told.unit, told.against),
            *(x, np.inf if value is None else value, edge),
        )
        for one in records
        for told in one.trajectories
        for x, value, edge in zip(told.x, told.value, told.reached_edge, strict=True)
    ]
    columns = ["trajectory", "unit", "against", "x", "value", "reached_edge"]
    table = pd.DataFrame(rows, columns=[*_RUN, "date", *columns])
    return _dated(table) if rows else table


def reliabilities(records: Iterable[Record]) -> pd.DataFrame:
    """Return the table of :func:`load_reliability` of these records, in their order."""
    rows = [
        (*(getattr(one, name) for name in _RUN), one.date, *values)
        for one in records
        if (told := one.reliability) is not None
        for values in zip(told.stated_deg, told.actual_deg, told.patterns, strict=True)
    ]
    columns = ["stated_deg", "actual_deg", "patterns"]
    table = pd.DataFrame(rows, columns=[*_RUN, "date", *columns])
    return _dated(table) if rows else table


def newest(table: pd.DataFrame) -> pd.DataFrame:
    """Return the newest row that counts of each task, method, origin, division and seed.

    They are in this order; of rows of one date it is the last. Superseded and withdrawn ones do not
    count.
    """
    counted = table[table["status"].isin(lifecycle.COUNTED)]
    dated = counted.sort_values("date", kind="stable", na_position="first")
    return dated.drop_duplicates(_RUN, keep="last").sort_values(_RUN)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return statistics over the seeds of each task and method, from the table of :func:`load`.

    The newest row of each seed counts, unless it failed, or is superseded or withdrawn. One row per
    task, method, origin, division and quantity (a metric, ``seconds``, ``peak_gib``,
    ``energy_joule`` or ``patterns_per_s``), which are the index; a quantity that no seed has is
    left out. Columns: ``count`` (of the seeds that have it), ``median``, ``min`` and ``max``, the
    whole range over these seeds and no confidence interval; ``reached_edge``: whether the median is
    the value of a run whose data end there.
    """
    latest = newest(table)
    finished = latest[latest["error"] == ""]
    keys = [*ROW, "quantity"]
    long = finished.melt(ROW, [*COSTS, *METRICS], "quantity", "value")
    edges = [finished.get(name + EDGE, pd.Series(False, finished.index)) for name in METRICS]
    none = pd.Series(False, finished.index)
    long["edge"] = pd.concat([*[none] * len(COSTS), *edges], ignore_index=True).eq(True)
    long = long.dropna(subset="value")
    values = long.groupby(keys)["value"]
    found = values.agg(["count", "median", "min", "max"])
    at_median = long["edge"] & (long["value"] == values.transform("median"))
    return found.assign(reached_edge=at_median.groupby([long[key] for key in keys]).any())
