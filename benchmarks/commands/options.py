"""Options that commands of ``xrai-bench`` share."""

from typing import Annotated

import typer

Scale = Annotated[
    float, typer.Option(help="Take this fraction of the patterns: the task is then TASK@SCALE.")
]
