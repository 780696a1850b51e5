"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path, typer.Argument(help="Run directory of `xrai train`.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda[:N].")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Live = Annotated[bool, typer.Option("--live", help="Serve the report while it runs.")]
LivePort = Annotated[int, typer.Option(help="Port of --live; 0: any that is free.")]
LiveHost = Annotated[
    str, typer.Option(help="Address of --live; others can look if it is not loopback.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="Secret that both ends know, for other addresses than loopback; or $XRAI_TOKEN."
    ),
]
