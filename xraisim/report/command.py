"""What `xrai report` and `xrai-baseline report` share: their options, and what they do."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from xraisim.console import say, warnings_said
from xraisim.files.outputs import claim_picture
from xraisim.report.page import MethodPanels, command_with_more, write_report
from xraisim.report.server import live
from xraisim.stopping import Stopped

Directory = Annotated[Path, typer.Argument(help="Directory of a result, finished or not.")]
Patterns = Annotated[
    Path | None, typer.Option(help="The run's pattern file, to show patterns and predictions.")
]
Density = Annotated[
    Path | None,
    typer.Option(help="Density of `xrai-baseline phase` (default: RUN/phasing/density.mrc)."),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Page to write (default: RUN/report.html).")
]
Serve = Annotated[
    bool, typer.Option("--serve", help="Serve the page and follow the run, until Ctrl-C.")
]
Port = Annotated[int, typer.Option(help="Port of --serve; 0: any that is free.")]
Host = Annotated[str, typer.Option(help="Address of --serve.")]


def write(
    run: Path,
    methods: Mapping[str, MethodPanels],
    patterns: Path | None,
    density: Path | None,
    out_file: Path | None,
) -> None:
    """Write the page about a run, and say where, and where there is more."""
    path = out_file or run / "report.html"
    claim_picture(path, [patterns, density])
    with warnings_said():
        found = write_report(run, path, methods, patterns=patterns, density=density)
    if more := command_with_more(found, methods):
        say(f"a result of {found.method}: {more} shows more of it")
    say(f"report in {path}")


def serve_until_stopped(
    run: Path,
    methods: Mapping[str, MethodPanels],
    patterns: Path | None,
    density: Path | None,
    port: int,
    host: str,
) -> None:
    """Serve the page about a run and say where, until Ctrl-C."""
    with live(run, methods, port, host, patterns=patterns, density=density) as address:
        say(f"report at {address}, until Ctrl-C")
        with suppress(Stopped):
            _wait()


def _wait() -> None:
    threading.Event().wait()
