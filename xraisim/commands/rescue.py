"""``xrai-sim rescue``, as a function for typer."""

from pathlib import Path
from typing import Annotated

import typer

from xraisim import console
from xraisim.commands import options
from xraisim.core.json_text import to_json
from xraisim.files.lock import only_writer
from xraisim.files.outputs import claim
from xraisim.files.rescue import rescue, survey

_SHOWN = 20


def rescue_command(
    damaged: Annotated[Path, typer.Argument(help="Damaged or truncated pattern file.")],
    out: Annotated[Path | None, typer.Option(help="File for the patterns that are whole.")] = None,
    force: console.Force = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Say which chunks of a pattern file are damaged, and write the other patterns to a new file.

    Without --out it only looks, and exits with 1 if anything is damaged. The new file holds the
    numbers that its patterns had in the damaged one, as `rescued/numbers`.
    """
    if out is None:
        found = survey(damaged)
    else:
        claim(out, [damaged], replace=force)
        with only_writer(out):
            found = rescue(damaged, out)
    whole = int(found.whole.sum())
    if as_json:
        chunks = [str(one) for one in found.damages]
        typer.echo(to_json({"patterns": found.patterns, "whole": whole, "damaged": chunks}))
    else:
        for one in found.damages[:_SHOWN]:
            console.out.print(f"damaged: {one}", highlight=False)
        if len(found.damages) > _SHOWN:
            console.out.print(f"and {len(found.damages) - _SHOWN:,} more chunks")
        console.out.print(f"{whole:,} of {found.patterns:,} patterns are whole", highlight=False)
    if out is not None:
        console.say(f"wrote them to {out}")
    elif found.damages:
        raise typer.Exit(1)
