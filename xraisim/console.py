"""What the four commands share: entry point with clear errors, progress, tables.

Text is printed as it is, here and in tables: brackets and colons of a path are no markup. What is
to stand out is a :class:`rich.text.Text`, or the first part of a line of :func:`say`.
"""

import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated, Any, Protocol, runtime_checkable

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from xraisim import stopping
from xraisim.core.errors import UserError
from xraisim.core.renamed import RenamedWarning
from xraisim.lazy_commands import LazyGroup

out = Console(markup=False, emoji=False)
err = Console(stderr=True, markup=False, emoji=False)
_LINE_INTERVAL_S = 10.0

Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@runtime_checkable
class Advance(Protocol):
    """Reports progress: so many more units done, with an optional remark."""

    def __call__(self, units: int = 1, remark: str = "") -> None:
        """Add ``units`` and show ``remark`` behind the bar."""


def make_app(summary: str, examples: str, commands: Mapping[str, str] | None = None) -> typer.Typer:
    """Return a command group whose ``--help`` ends with examples.

    ``commands``: from names to ``module:function``, which is imported when its command is called,
    so that ``--help`` need not wait for all of them.
    """
    group = type("Commands", (LazyGroup,), {"sources": dict(commands or {})})
    epilog = f"Examples:\n\n{examples}\n\nAdd --debug anywhere to see a traceback on an error."
    app = typer.Typer(
        help=summary,
        epilog=epilog,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        cls=group,
    )

    @app.callback()
    def _common(
        show_version: bool = typer.Option(
            False, "--version", is_eager=True, callback=_print_version, help="Show version."
        ),
    ) -> None:
        pass

    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(version("x-rai"), highlight=False)
        raise typer.Exit


def entry_point(app: typer.Typer) -> Callable[[], None]:
    """Return a ``main`` that turns user errors into one line on stderr and exit code 2.

    And a signal that stops it into one line and exit code 130 or 143 (:mod:`xraisim.stopping`).
    """

    def main() -> None:
        arguments = [a for a in sys.argv[1:] if a != "--debug"]
        debug = "--debug" in sys.argv[1:]
        if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be valid text
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            with stopping.listening(), _renamed_said():
                app(args=arguments)  # ends in SystemExit: typer prints usage errors itself, code 2
        except stopping.Stopped as stop:
            if os.environ.get("RANK", "0") == "0":  # torchrun stops all processes, one says so
                say(stopping.described(stop))
            sys.exit(stop.exit_status)
        except (UserError, OSError) as error:
            if debug:
                raise
            err.print(Text.assemble(("error:", "bold red"), f" {_describe(error)}"), soft_wrap=True)
            sys.exit(2)

    return main


@contextmanager
def _renamed_said() -> Iterator[None]:
    """Print what was given under an old name as a line of commentary."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, RenamedWarning):
                say(str(message), "notice:", "bold yellow")
            else:
                usual(message, category, *rest, **more)

        warnings.showwarning = show
        yield


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, UserError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{os.strerror(error.errno)}"
    return stopping.described(error)


def say(message: str, head: str = "", style: str = "bold") -> None:
    """Print a line of running commentary on stderr, with the time of day.

    ``head`` comes before the message, in ``style``.
    """
    told: list[str | tuple[str, str]] = [(time.strftime("%H:%M:%S"), "dim"), (head, style), message]
    parts = [Text.assemble(part) for part in told if part and part[0]]
    err.print(Text(" ").join(parts), soft_wrap=True)


@contextmanager
def warnings_said() -> Iterator[None]:
    """Say the warnings of a block when it is done, one line each and each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        say(f"warning: {message}")


def conclude(rows: Mapping[str, Any], *commands: str) -> None:
    """Print names and values on stdout, one pair a line; say the resolution, and what to type next.

    Where ``rows`` have no ``resolution``, none was measured.
    """
    for name, value in rows.items():
        out.print(f"  {name:40s} {_shown(value)}", highlight=False, soft_wrap=True)
    say(rows.get("resolution", "not measured: there are no half-sets"), "resolution:")
    for command in commands:
        say(command, "next:")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(_shown, value)) if isinstance(value, list | tuple) else str(value)


@contextmanager
def progress(description: str, total: int, *, shown: bool = True) -> Iterator[Advance]:
    """Show a bar on a terminal, a line every ten seconds elsewhere, or nothing.

    Either tells units per second and the time left.
    """
    if not shown:
        yield lambda units=1, remark="": None
        return
    if err.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _SpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[remark]}", markup=False),
        )
        with Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task(description, total=total, remark="")

            def advance_bar(units: int = 1, remark: str = "") -> None:
                bar.update(task, advance=units)
                if remark:
                    bar.update(task, remark=remark)

            yield advance_bar
        return
    yield _line_progress(description, total)


class _SpeedColumn(ProgressColumn):
    """Units per second, of late."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{_rate(task.speed)}/s", style="progress.data")


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


def duration_text(seconds: float) -> str:
    """Return a time that is known roughly, in the unit that suits it."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.1f} s"


def _line_progress(description: str, total: int) -> Advance:
    done, began = 0, time.monotonic()
    last = began

    def advance(units: int = 1, remark: str = "") -> None:
        nonlocal done, last
        done += units
        now = time.monotonic()
        if now - last < _LINE_INTERVAL_S:
            return
        last = now
        speed = done / max(now - began, 1e-9)
        left = f", {(total - done) / speed:,.0f} s left" if 0 < done < total else ""
        shown = f"  {remark}" if remark else ""
        say(f"{description}: {done:,} of {total:,}{shown}  ({_rate(speed)}/s{left})")

    return advance
