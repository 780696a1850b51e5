"""``xrai-bench score``: a record of a result that somebody else left."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import pipeline
from benchmarks.commands.options import AsJson, KeepIn, Work
from benchmarks.commands.table import show
from benchmarks.submission import score_result
from benchmarks.task import load_task
from xraisim.console import say


def score_command(
    result: Annotated[Path, typer.Argument(help="Directory of a result, or a volume (.h5, .mrc).")],
    task: Annotated[
        str | None,
        typer.Option(
            help="Task: a name that xrai-bench tasks lists, or a TOML file; default: as "
            "submission.toml."
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Truth file of the patterns, if not the task's own.")
    ] = None,
    record_to: KeepIn = None,
    method: Annotated[str, typer.Option(help="Who made it (default: what the result says).")] = "",
    notes: Annotated[str, typer.Option(help="What its maker says of it, on one line.")] = "",
    spacing: Annotated[
        float | None, typer.Option(help="Å⁻¹ per voxel, if the volume does not say.")
    ] = None,
    work: Work = Path("runs/bench"),
    as_json: AsJson = False,
) -> None:
    """Score a result against the truth of a task, and mark the record as self-reported.

    A submission.toml in the directory is checked, and its words are in the record. Without poses,
    or for a volume alone, what needs them is left out.
    """
    known = load_task(task) if task else None
    made = score_result(
        result, known, work, truth=truth, method=method, notes=notes, spacing=spacing
    )
    if record_to:
        pipeline.keep([made], record_to)
    show([made], as_json)
    say(f"record and slices are in {work}; a page with all runs in it: xrai-bench report {work}")
