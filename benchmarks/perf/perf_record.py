"""What every performance record states beside its figures, and how it is kept."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.record import checkout_commit
from xraisim.core import machine
from xraisim.core.json_text import to_json
from xraisim.files.atomic import write_text

Settings = TypeVar("Settings")


def circumstances() -> dict[str, Any]:
    """Return date, command, commit, versions, hardware and the load before the measurement.

    The load average over a minute says how busy the machine was with other work: on two cores
    figures taken at more than about 0.2 are not those of a quiet machine.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": checkout_commit(),
        "versions": machine.versions(),
        "hardware": dataclasses.asdict(machine.hardware()),
        "load_average": round(os.getloadavg()[0], 2),
    }


def seeded_parser(about: str | None) -> argparse.ArgumentParser:
    """Return a parser of ``patterns``, ``--seeds`` and ``--out``, described by ``about``."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("patterns", type=Path)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--out", type=Path, required=True)
    return parser


def ablate(
    said: argparse.Namespace,
    variants: Mapping[str, Settings],
    measure: Callable[[Settings, int], dict[str, Any]],
) -> None:
    """Measure settings by name, seed by seed; print each, and write the record after each.

    ``said``: of :func:`seeded_parser`, with ``variants``: names, separated by commas, or None.
    """
    names = said.variants.split(",") if said.variants else list(variants)
    record: dict[str, Any] = {**circumstances(), "patterns": said.patterns.name}
    record["variants"] = {name: [] for name in names}
    for seed in map(int, said.seeds.split(",")):
        for name in names:
            found = measure(variants[name], seed)
            record["variants"][name].append(found)
            write(said.out, record)
            print(name, to_json(found), flush=True)


def write(path: Path, record: dict[str, Any]) -> None:
    """Write ``record`` as JSON; the file appears under its name only when it is whole."""
    write_text(path, to_json(record, indent=1) + "\n")


def heading(title: str, record: dict[str, Any]) -> str:
    """Return ``title`` with the processor, cores and load, for above a table."""
    hardware = record["hardware"]
    return (
        f"{title}\n{hardware['cpu']}, {hardware['cores']} cores, load average "
        f"{record['load_average']} before"
    )
