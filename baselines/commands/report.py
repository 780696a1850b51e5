"""``xrai-baseline report``."""

from pathlib import Path
from typing import Annotated

import typer

from baselines.report import write_report
from xraisim.console import say
from xraisim.files.outputs import claim_picture


def report_command(
    run: Annotated[Path, typer.Argument(help="Run directory of `xrai-baseline emc`.")],
    patterns: Annotated[
        Path | None, typer.Option(help="The run's pattern file, to show patterns and predictions.")
    ] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Page to write (default: RUN/report.html).")
    ] = None,
) -> None:
    """Write one HTML page about an EMC run, finished or not; everything is inside the file."""
    path = out_file or run / "report.html"
    claim_picture(path, [patterns])
    write_report(run, path, patterns)
    say(f"report in {path}")
