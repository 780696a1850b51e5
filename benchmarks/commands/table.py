"""``xrai-bench table`` and ``report``: what records say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import leaderboard, lifecycle, pipeline, record, report, table_formats
from benchmarks.record import RECORDS, Record
from xraisim.console import Force, out, say
from xraisim.core.errors import ConfigError
from xraisim.core.json_text import to_json
from xraisim.files.atomic import write_bytes
from xraisim.files.outputs import claim, claim_picture


def table_command(
    records: Annotated[Path, typer.Option(help="Directory of records.")] = RECORDS,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"{', '.join(table_formats.FORMATS)}: markdown and latex are the leaderboard, the "
            "others have a row for every record. Default: what --out ends in.",
        ),
    ] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write to this file; default: print.")
    ] = None,
    force: Force = False,
    write: Annotated[
        Path | None, typer.Option(help="Write the table as Markdown, such as LEADERBOARD.md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print records, not a table.")] = False,
) -> None:
    """Show the leaderboard of a directory of records (default: those that ship).

    Or write it, or its records, for a paper, a spreadsheet or another program.
    """
    asked = form is not None or out_file is not None
    if asked + (write is not None) + as_json > 1:
        raise ConfigError("give one of --write, --json, and --format with --out")
    name = table_formats.choose(form, out_file) if asked else ""
    found = record.read_all(records)
    if write:
        write_bytes(write, table_formats.FORMATS["markdown"](found))
        say(f"wrote {write}")
    elif not asked:
        show(found, as_json)
    elif out_file is None:
        print(table_formats.FORMATS[name](found).decode(), end="")
    else:
        claim(out_file, [records, *record.record_paths(records)], replace=force)
        write_bytes(out_file, table_formats.FORMATS[name](found))
        say(f"wrote {out_file}")


def show(records: Sequence[Record], as_json: bool) -> None:
    """Print records as tables on a terminal, or as JSON."""
    if as_json:
        print(to_json(pipeline.summary(records), indent=1))
        return
    found = leaderboard.entries(records)
    for one in leaderboard.tables(found):
        out.print(one)
    for failure in leaderboard.failures(found):
        out.print(failure, style="red", highlight=False)
    for line in lifecycle.left_out(records):
        out.print(line, highlight=False)


def report_command(
    runs: Annotated[Path, typer.Argument(help="Work directory or directory of records.")] = Path(
        "runs/bench"
    ),
    page: Annotated[Path | None, typer.Option("--out", help="Default: RUNS/report.html.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Write slices and FSC curves as an image instead.")
    ] = None,
) -> None:
    """Write the HTML page again from records, or one picture of the runs."""
    shown = report.load(runs)
    for path in filter(None, (page, picture)):
        claim_picture(path, [runs])
    if picture:
        report.write_picture(picture, shown)
        say(f"wrote {picture}")
        return
    page = page or (runs if runs.is_dir() else runs.parent) / "report.html"
    report.write(page, shown)
    say(f"wrote {page}")
