"""``xrai-bench tasks``: what there is to run."""

from typing import Annotated

import typer
from rich import box
from rich.table import Table

from benchmarks import suites
from benchmarks.task import task_names
from xraisim.console import out

_NARROW = {
    "version": "v.",
    "photons": "photons\n/pattern",
    "beyond s·D = 1.2": "beyond\n1.2/D",
    "minutes of xrai": "xrai\n(min)",
}
_WORDS = ("task", "what it is")


def tasks_command(
    suite: Annotated[list[str] | None, typer.Option(help="Only this suite.")] = None,
) -> None:
    """List the tasks by suite: patterns, photons per pattern, minutes of xrai where known.

    Photons are means of all and of those beyond s·D = 1.2, D being the particle's diameter. Minutes
    are of the reconstruction, on two cores.
    """
    for name in suite or suites.SUITES:
        task_names(name)  # an unknown suite is an error
        table = Table(
            title=f"{name}: {suites.SUITES[name]}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for heading in suites.HEADINGS:
            table.add_column(
                _NARROW.get(heading, heading),
                justify="left" if heading in _WORDS else "right",
                no_wrap=heading != "what it is",
            )
        for row in suites.rows(name):
            table.add_row(*row)
        out.print(table)
