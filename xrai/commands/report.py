"""``xrai report``, and what ``xrai train`` and ``xrai resume`` share with it: a served page."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from xrai.report.page import write_report
from xrai.report.server import DEFAULT_PORT, LOOPBACK, live
from xraisim.console import say
from xraisim.files.outputs import claim_picture
from xraisim.stopping import Stopped


def report_command(
    run: Annotated[Path, typer.Argument(help="Run directory of `xrai train`.")],
    patterns: Annotated[
        Path | None, typer.Option(help="The run's pattern file, to show patterns and predictions.")
    ] = None,
    density: Annotated[
        Path | None,
        typer.Option(help="Density of `xrai-baseline phase` (default: RUN/phasing/density.mrc)."),
    ] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Page to write (default: RUN/report.html).")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page and follow the run, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port of --serve; 0: any that is free.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="Address of --serve.")] = LOOPBACK,
) -> None:
    """Write one HTML page about a run, finished or not; everything is inside the file."""
    if serve:
        with live(run, port, host, patterns=patterns, density=density) as address:
            say(f"report at {address}, until Ctrl-C")
            with suppress(Stopped):
                _wait()
        return
    path = out_file or run / "report.html"
    claim_picture(path, [patterns, density])
    write_report(run, path, patterns=patterns, density=density)
    say(f"report in {path}")


def _wait() -> None:
    threading.Event().wait()


@contextmanager
def served(wanted: bool, run_directory: Path, port: int, host: str) -> Iterator[None]:
    """Serve the page about a run while the context lasts, if it is wanted, and say where."""
    if not wanted:
        yield
        return
    with live(run_directory, port, host) as address:
        say(f"live report at {address}")
        yield
