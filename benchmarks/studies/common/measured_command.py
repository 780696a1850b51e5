"""Run a command and measure it: wall time, processor time, peak resident memory.

The command is started by this file running as a small process of its own. On Linux a process
inherits the peak memory of the one that started it until then, and a benchmark that has torch
loaded would add that to everything it measures. So only the standard library is used here.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SHOWN_CHARACTERS = 2000  # of what a failed command printed


class CommandError(RuntimeError):
    """A measured command failed; the message ends with what it printed last."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a command took and printed; ``peak_gib`` is its largest resident memory."""

    wall_s: float
    cpu_s: float
    peak_gib: float
    stdout: str
    stderr: str

    def figures(self) -> dict[str, Any]:
        """Return the JSON of the last line that the command printed."""
        return dict(json.loads(self.stdout.strip().splitlines()[-1]))


def thread_limit(threads: int) -> dict[str, str]:
    """Return the environment in which OpenMP, numba and the BLAS libraries use ``threads``."""
    names = ("OMP", "NUMBA", "OPENBLAS", "MKL")
    return {f"{name}_NUM_THREADS": str(threads) for name in names}


def measure(
    command: Sequence[str | Path],
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Measured:
    """Run ``command`` in ``directory`` with ``environment`` added to this process's.

    Raises :class:`CommandError` if it cannot be started or ends with another code than 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        report, out, err = (Path(folder) / name for name in ("report", "out", "err"))
        with out.open("wb") as stdout, err.open("wb") as stderr:
            code = subprocess.run(
                [sys.executable, "-I", __file__, str(report), *map(str, command)],
                cwd=directory,
                env={**os.environ, **(environment or {})},
                stdout=stdout,
                stderr=stderr,
            ).returncode
        printed = out.read_text(errors="replace"), err.read_text(errors="replace")
        if code:
            shown = "".join(printed)[-_SHOWN_CHARACTERS:]
            raise CommandError(f"exit code {code}: {' '.join(map(str, command))}\n{shown}")
        figures = json.loads(report.read_text())
    return Measured(**figures, stdout=printed[0], stderr=printed[1])


def main(arguments: Sequence[str]) -> int:
    """Run ``arguments[1:]`` and write what it took to ``arguments[0]``; return its exit code."""
    report, command = Path(arguments[0]), list(arguments[1:])
    started = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    figures = {
        "wall_s": time.perf_counter() - started,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        # kilobytes on Linux, bytes on macOS
        "peak_gib": usage.ru_maxrss / (2**30 if platform.system() == "Darwin" else 2**20),
    }
    report.write_text(json.dumps(figures))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
