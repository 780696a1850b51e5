"""``xrai-bench data``: the patterns of a task, or blind ones."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import data
from benchmarks.commands.options import Scale
from benchmarks.task import load_task
from xraisim import stopping
from xraisim.console import Force, say
from xraisim.core.errors import ConfigError


def data_command(
    task: Annotated[str, typer.Argument(help="Name of a task, or a TOML file.")],
    out: Annotated[Path, typer.Option(help="Directory for the patterns.")],
    blind: Annotated[
        bool, typer.Option("--blind", help="Draw a seed that nobody knows, for scoring later.")
    ] = False,
    truth: Annotated[
        Path | None, typer.Option(help="Directory for the truth of blind patterns, elsewhere.")
    ] = None,
    scale: Scale = 1.0,
    force: Force = False,
) -> None:
    """Make the patterns of a task, and print what it states of their photons.

    With --blind, patterns for a participant in --out, and their truth for the organiser in --truth.
    """
    chosen = load_task(task).scaled(scale)
    if blind != (truth is not None):
        raise ConfigError("--blind and --truth go together; expected both or neither")
    with stopping.keeping(
        lambda: f"nothing is whole; begin again with {stopping.again('--force')}"
    ):
        if truth is None:
            made = data.make(chosen, out, force=force)
        else:
            made = data.make_blind(chosen, out, truth, force=force)
            say(f"patterns in {out}; {truth} is for whom scores, and for nobody else")
    print(f'photons_sha256 = "{made.photons_sha256}"')
    print(f"photons_per_pattern = {made.photons_per_pattern}")
    print(f"photons_beyond = {made.photons_beyond}")
    if blind:
        print(f'commitment = "{made.commitment}"')
