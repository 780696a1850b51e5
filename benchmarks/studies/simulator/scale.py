"""How ``xrai-sim make`` scales, with the number of patterns and with their photons.

``python -m benchmarks.studies.simulator.scale --structure 4v6x --patterns 10000 100000 1000000
--fluence 1 0.1 0.03 0.01 0.001 --out runs/scale`` runs the whole command once for every pair, and
writes ``scale.json`` after each. One run needs the disk for its patterns only while it lasts.
"""

import argparse
import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.studies.common import study_record
from benchmarks.studies.simulator.our_simulator import (
    PHOTONS_PER_PULSE,
    MakeRun,
    run_make,
    settings,
)
from xraisim import console

GOAL_PATTERNS = 5_000_000


def extrapolated_s(run: MakeRun, patterns: int = GOAL_PATTERNS) -> float:
    """Return the time of the whole command for ``patterns``, what is not drawing held fixed."""
    drawing_s = run.patterns / run.patterns_per_s
    return run.wall_s + drawing_s * (patterns / run.patterns - 1)


def flatness(runs: Sequence[MakeRun]) -> float:
    """Return the rate after set-up at the largest number of patterns over that at the smallest."""
    ordered = sorted(runs, key=lambda run: run.patterns)
    return ordered[-1].patterns_per_s / ordered[0].patterns_per_s


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run every pair of fluence and number of patterns; return the record."""
    record: dict[str, Any] = study_record.circumstances() | {"rows": []}
    for fluence, patterns in itertools.product(options.fluence, options.patterns):
        console.say(f"{patterns:,} patterns at {fluence:g} of the fluence")
        config = settings(options.structure, patterns, fluence * options.photons_per_pulse)
        run = run_make(
            config,
            options.out,
            structures=options.structures,
            threads=options.threads,
            keep=options.keep,
        )
        figures = {
            "fluence": fluence,
            "whole_patterns_per_s": run.whole_patterns_per_s,
            "five_million_s": extrapolated_s(run),
        }
        record["rows"].append(figures | dataclasses.asdict(run))
        study_record.write(options.out / "scale.json", record)
    return record


def table(record: dict[str, Any], structure: str) -> Table:
    """Return the record as a table, one line per run; rates are patterns per second."""
    title = study_record.heading(f"xrai-sim make, {structure}, whole command and file", record)
    names = ("patterns", "photons each", "wall s", "set-up s", "per s, whole", "per s, drawn",
             "peak GiB", "bytes per photon", "5 million min")  # fmt: skip
    rows = (
        (
            f"{row['patterns']:,}",
            f"{row['photons_per_pattern']:,.4g}",
            f"{row['wall_s']:,.1f}",
            f"{row['setup_s']:,.1f}",
            f"{row['whole_patterns_per_s']:,.0f}",
            f"{row['patterns_per_s']:,.0f}",
            f"{row['peak_gib']:.2f}",
            f"{row['bytes_per_photon']:.2f}",
            f"{row['five_million_s'] / 60:,.1f}",
        )
        for row in record["rows"]
    )
    return study_record.table(title, names, rows)


def _options() -> argparse.Namespace:
    parser = study_record.parser(__doc__, "runs/scale")
    parser.add_argument("--structure", default="4v6x", help="a path or an identifier")
    parser.add_argument("--structures", type=Path, help="directory to look for it in first")
    parser.add_argument("--patterns", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument(
        "--fluence", type=float, nargs="+", default=[1.0], help="relative to --photons-per-pulse"
    )
    parser.add_argument("--photons-per-pulse", type=float, default=PHOTONS_PER_PULSE)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="leave the last run's files there")
    return parser.parse_args()


def main() -> None:
    """Run, print the table and how flat the rate is."""
    options = _options()
    record = run_all(options)
    study_record.conclude(options.out / "scale.json", record, table(record, options.structure))
    names = [field.name for field in dataclasses.fields(MakeRun)]
    for fluence in options.fluence if len(options.patterns) > 1 else []:
        rows = [row for row in record["rows"] if row["fluence"] == fluence]
        runs = [MakeRun(**{name: row[name] for name in names}) for row in rows]
        console.out.print(
            f"fluence × {fluence:g}: the largest runs at {flatness(runs):.2f} of the "
            "smallest's rate after set-up"
        )


if __name__ == "__main__":
    main()
