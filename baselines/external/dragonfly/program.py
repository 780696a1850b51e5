"""The program itself: where it is, running it, and what its log says while it runs."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xraisim.core.errors import UserError

BIN_VARIABLE = "XRAI_DRAGONFLY_BIN"
LOG = "EMC.log"
CONSOLE = "console.log"
_PROGRAM = "dragonfly.emc"
_ABSENT = "Dragonfly is not installed: "
_POLL_S = 0.2
_GRACE_S = 10.0
_SHOWN_CHARACTERS = 1500
_VERSION = "from importlib.metadata import version; print(version('dragonfly-spi'))"


class NotInstalledError(UserError):
    """Dragonfly is not on this machine."""


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One iteration as its log has it.

    ``information`` is in nats; ``log_likelihood`` is per pattern, with −Σ log k! and log of the
    orientations' weights in it, without K log φ where it scales patterns by φ.
    """

    iteration: int
    seconds: float
    rms_change: float
    information: float
    log_likelihood: float
    beta: float


def find_program(directory: str = "") -> Path:
    """Return the executable in ``directory``, in that of XRAI_DRAGONFLY_BIN, or on PATH.

    Raises :class:`NotInstalledError` that says where it was looked for.
    """
    named = {"setting programs": directory, BIN_VARIABLE: os.environ.get(BIN_VARIABLE)}
    for name, place in named.items():
        if place:
            path = Path(place).absolute() / _PROGRAM
            if os.access(path, os.X_OK):
                return path
            raise NotInstalledError(
                f"{_ABSENT}{place} ({name}) has no {_PROGRAM}; give the bin "
                "directory of an environment into which dragonfly-spi and mpi4py are installed"
            )
    found = shutil.which(_PROGRAM)
    if found is None:
        raise NotInstalledError(
            f"{_ABSENT}no {_PROGRAM} on PATH; install dragonfly-spi and mpi4py "
            f"into an environment and set {BIN_VARIABLE} to its bin directory"
        )
    return Path(found)


def why_not_installed(directory: str = "") -> str:
    """Return why the program cannot be run, or nothing where it can."""
    try:
        find_program(directory)
    except NotInstalledError as error:
        return str(error).removeprefix(_ABSENT)
    return ""


def version(program: Path) -> str:
    """Return the version of the environment that the program belongs to, empty if it hides it."""
    python = program.resolve().parent / "python"
    if not python.exists():
        return ""
    asked = subprocess.run([python, "-c", _VERSION], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def read_log(path: Path) -> list[LogLine]:
    """Return the iterations that are finished; a line that is still being written is left out."""
    if not path.exists():
        return []
    table = path.read_text(errors="replace").partition("\nIter\t")[2]
    rows = [line.split() for line in table.split("\n")[1:-1]]
    return [
        LogLine(
            iteration=int(row[0]),
            seconds=float(row[1]),
            rms_change=float(row[2]),
            information=float(row[3]),
            log_likelihood=float(row[4]),
            beta=float(row[6]),
        )
        for row in rows
        if len(row) == 7
    ]


def run(
    program: Path,
    folder: Path,
    iterations: int,
    *,
    threads: int,
    time_limit_s: float,
    on_iteration: Callable[[LogLine], None],
) -> bool:
    """Run ``iterations`` in ``folder``, which holds ``config.ini``; return whether all are made.

    ``on_iteration`` gets every line of the log as it appears. At the time limit the program is
    stopped. Raises :class:`UserError` with what it printed last if it fails.
    """
    log, seen = folder / LOG, 0
    log.unlink(missing_ok=True)
    with (folder / CONSOLE).open("wb") as console:
        process = subprocess.Popen(
            [program, "-t", str(threads), "-c", "config.ini", str(iterations)],
            cwd=folder,
            env=_environment(threads),
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ends = time.monotonic() + time_limit_s
        try:
            running = True
            while running and time.monotonic() < ends:
                running = process.poll() is None
                lines = read_log(log)
                for line in lines[seen:]:
                    on_iteration(line)
                seen = len(lines)
                if running:
                    time.sleep(_POLL_S)
        finally:
            _stop(process)
    if not running and process.returncode:
        printed = (folder / CONSOLE).read_text(errors="replace")[-_SHOWN_CHARACTERS:]
        raise UserError(
            f"Dragonfly ended with exit code {process.returncode}; it printed\n{printed}"
        )
    return seen >= iterations


def _environment(threads: int) -> dict[str, str]:
    # MPI does not start as root without these two.
    as_root = {f"OMPI_ALLOW_RUN_AS_ROOT{end}": "1" for end in ("", "_CONFIRM")}
    # The caller's modules are not those of the program's own environment.
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return inherited | as_root | {"OMP_NUM_THREADS": str(threads)}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it started, if it still runs."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
