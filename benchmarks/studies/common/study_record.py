"""What the scripts of the studies share: command lines, records, tables.

A record states the circumstances of its measurement beside the figures.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich import box
from rich.table import Table

from benchmarks.record import checkout_commit
from xraisim import console
from xraisim.core import machine
from xraisim.core.errors import UserError
from xraisim.core.json_text import to_json
from xraisim.files.atomic import write_text

Settings = TypeVar("Settings")


def circumstances(device: str = "cpu") -> dict[str, Any]:
    """Return date, command, commit, versions, hardware and the load before the measurement.

    The load average over a minute says how busy the machine was with other work: on two cores
    figures taken at more than about 0.2 are not those of a quiet machine.
    """
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [module.name if module else Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": checkout_commit(),
        "versions": machine.versions(),
        "hardware": dataclasses.asdict(machine.hardware(device)),
        "load_average": round(os.getloadavg()[0], 2),
    }


def parser(about: str | None, out: str | None = None) -> argparse.ArgumentParser:
    """Return a parser with ``--out``: a directory, or the file to write where there is no default.

    ``about``: the script's docstring.
    """
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--out",
        type=Path,
        default=out and Path(out),
        required=out is None,
        help="file to write" if out is None else f"work directory; default: {out}",
    )
    return made


def seeded_parser(about: str | None) -> argparse.ArgumentParser:
    """Return a parser of a pattern file, ``--seeds`` and the record's ``--out``."""
    made = parser(about)
    made.add_argument("patterns", type=Path)
    made.add_argument("--seeds", default="0,1,2,3,4")
    return made


def seeds(said: argparse.Namespace) -> list[int]:
    """Return the seeds asked for, of :func:`seeded_parser`."""
    return [int(one) for one in said.seeds.split(",")]


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
    for seed in seeds(said):
        for name in names:
            found = measure(variants[name], seed)
            record["variants"][name].append(found)
            write(said.out, record)
            print(name, to_json(found), flush=True)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a user can mend into one line and exit code 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def write(path: Path, record: dict[str, Any]) -> None:
    """Write ``record`` as JSON; the file appears under its name only when it is whole."""
    write_text(path, to_json(record, indent=1) + "\n")


def conclude(path: Path, record: dict[str, Any], shown: Table) -> None:
    """Write ``record``, print its table and say where it is."""
    write(path, record)
    console.out.print(shown)
    console.out.print(f"record: {path}")


def heading(title: str, record: dict[str, Any]) -> str:
    """Return ``title`` with the processor, cores and load, for above a table."""
    hardware = record["hardware"]
    return (
        f"{title}\n{hardware['cpu']}, {hardware['cores']} cores, load average "
        f"{record['load_average']} before"
    )


def table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table of columns ``names``, figures to the right of the first."""
    made = Table(title=title, box=box.SIMPLE, pad_edge=False)
    for column, name in enumerate(names):
        made.add_column(name, justify="right" if column else "left")
    for row in rows:
        made.add_row(*row)
    return made
