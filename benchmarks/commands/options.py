"""Options that commands of ``xrai-bench`` share."""

from pathlib import Path
from typing import Annotated

import typer

Scale = Annotated[
    float, typer.Option(help="Take this fraction of the patterns: the task is then TASK@SCALE.")
]
KeepIn = Annotated[
    Path | None, typer.Option("--out", help="Also keep the record in this directory.")
]
Work = Annotated[
    Path, typer.Option(help="Work directory, where the task's patterns are found or made.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the record, not a table.")]
