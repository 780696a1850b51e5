"""What every performance record states beside its figures, and how it is kept."""

import argparse
import dataclasses
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import revision
from xraisim.core import machine
from xraisim.core.json_text import to_json
from xraisim.files.atomic import write_text


def circumstances() -> dict[str, Any]:
    """Return date, command, commit, versions, hardware and the load before the measurement.

    The load average over a minute says how busy the machine was with other work: on two cores
    figures taken at more than about 0.2 are not those of a quiet machine.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": revision.commit(),
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
