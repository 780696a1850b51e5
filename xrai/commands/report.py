"""``xrai report``, and what ``xrai train`` and ``xrai resume`` share with it: a served page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xrai.panels import METHODS
from xraisim.console import say
from xraisim.report import command
from xraisim.report.server import DEFAULT_PORT, LOOPBACK, live


def report_command(
    run: command.Directory,
    patterns: command.Patterns = None,
    density: command.Density = None,
    out_file: command.Out = None,
    serve: command.Serve = False,
    port: command.Port = DEFAULT_PORT,
    host: command.Host = LOOPBACK,
) -> None:
    """Write one HTML page about a result, finished or not; everything is inside the file."""
    if serve:
        command.serve_until_stopped(run, METHODS, patterns, density, port, host)
    else:
        command.write(run, METHODS, patterns, density, out_file)


@contextmanager
def served(wanted: bool, run_directory: Path, port: int, host: str) -> Iterator[None]:
    """Serve the page about a run while the context lasts, if it is wanted, and say where."""
    if not wanted:
        yield
        return
    with live(run_directory, METHODS, port, host) as address:
        say(f"live report at {address}")
        yield
