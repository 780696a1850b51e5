"""``xrai-sim mask``, as a function for typer."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from xraisim import console
from xraisim.commands import options
from xraisim.core.json_text import to_json
from xraisim.files.patterns import PatternReader
from xraisim.files.saturation import mask_saturated


def mask_command(
    patterns: Annotated[Path, typer.Argument(help="A pattern file, or its shards' name.")],
    saturation: Annotated[int, typer.Option(help="Photons at which a pixel saturates.")],
    share: Annotated[
        float, typer.Option(help="Mask pixels that saturate in this share of the patterns.")
    ] = 0.001,
    as_json: options.JsonFlag = False,
) -> None:
    """Take the pixels that saturate out of use, in the file itself; all readers then skip them.

    The mask's bit 32 is set and the photons stay. Without this a clipped count is taken for what
    was there, and bright speckles come out too weak.
    """
    with PatternReader(patterns) as reader:
        total = reader.n_patterns
    with console.progress("patterns", total) as advance:
        found = mask_saturated(patterns, saturation, share, advance)
    figures = dataclasses.asdict(found)
    if as_json:
        typer.echo(to_json(figures, indent=2))
    else:
        console.out.print(options.key_value_table(figures, "Saturated pixels"))
