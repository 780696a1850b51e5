"""``xrai-baseline report``."""

from baselines.panels import METHODS
from xraisim.report import command
from xraisim.report.server import DEFAULT_PORT, LOOPBACK


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
