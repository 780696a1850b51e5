"""Processes that are forked, so that nothing has to be imported again, and may die."""

import multiprocessing
import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_FORK = multiprocessing.get_context("fork")


class Forked:
    """A process that calls ``act`` in ``directory``; use as a context manager.

    ``killed``: whether it had to be. When it has ended, ``status``: how, as in
    :class:`multiprocessing.Process`; ``said``: the end of what it wrote to its standard error.
    """

    killed = False
    status: int
    said: str

    def __init__(self, directory: Path, act: Callable[..., Any], *asked: Any) -> None:
        """Start the process."""
        self._errors = directory / "errors"
        self._told, told = os.pipe()
        there = directory, told, self._errors, act, asked
        self._process = _FORK.Process(target=_there, args=there)
        self._process.start()
        os.close(told)

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._process.kill()
        self._process.join()
        self.status = self._process.exitcode or 0
        self.said = self._errors.read_text(errors="replace")[-2000:]

    def lines(self, goes_on: Callable[[], bool]) -> Iterator[str]:
        """Yield what it prints until it ends; it is killed once ``goes_on`` says no."""
        with open(self._told) as told:
            while True:
                if select.select([told], [], [], 1.0)[0]:
                    text = told.readline()
                    if not text:
                        return
                    yield text
                if not goes_on():
                    self._process.kill()
                    self.killed = True

    def processor_s(self) -> float:
        """Return the processor time that it took so far; 0 when it has ended."""
        try:
            said = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return 0.0
        user, system = said.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _there(
    directory: Path, told: int, errors: Path, act: Callable[..., Any], asked: tuple[Any, ...]
) -> None:
    os.chdir(directory)
    os.dup2(told, 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    act(*asked)
