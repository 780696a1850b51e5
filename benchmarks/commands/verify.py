"""``xrai-bench verify``: score a submission that was handed in."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import pipeline
from benchmarks.commands.options import AsJson, KeepIn, Work
from benchmarks.commands.table import show
from benchmarks.task import load_task
from benchmarks.verify import verify
from xraisim.console import say


def verify_command(
    submission: Annotated[Path, typer.Argument(help="Directory with submission.toml and result.")],
    truth: Annotated[
        Path | None, typer.Option(help="Truth file of blind data, data.json beside it.")
    ] = None,
    record_to: KeepIn = None,
    task: Annotated[
        str | None, typer.Option(help="TOML file of the task, if it is none of ours.")
    ] = None,
    work: Work = Path("runs/bench"),
    as_json: AsJson = False,
) -> None:
    """Check a submission, score its files, and mark the record as verified.

    A record in the submission is compared: exit status 1 where its numbers are not confirmed.
    """
    found = verify(submission, load_task(task) if task else None, work, truth=truth)
    if record_to:
        pipeline.keep([found.record], record_to)
    show([found.record], as_json)
    for line in found.differing:
        say(line, head="not confirmed:", style="red")
    if found.agreeing and not found.differing:
        say(f"all {found.agreeing} numbers claimed are confirmed")
    say(f"record and slices are in {work}")
    if found.differing:
        raise typer.Exit(1)
