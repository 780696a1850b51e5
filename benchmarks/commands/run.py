"""``xrai-bench run``."""

import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import pipeline, report
from benchmarks.commands.options import Scale
from benchmarks.commands.table import show
from benchmarks.matrix import Matrix
from benchmarks.methods import METHODS, find_method, installed
from benchmarks.record import Record
from benchmarks.shares import WHOLE, Share
from benchmarks.task import load_task, suites, task_names
from xraisim import stopping
from xraisim.console import err, out, say
from xraisim.core.errors import ConfigError


def run_command(
    task: Annotated[
        list[str] | None,
        typer.Option(help="Task: a name that xrai-bench tasks lists, or a TOML file [quick]."),
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option(help=f"All tasks of a suite: {', '.join(suites())}.")
    ] = None,
    scale: Scale = 1.0,
    method: Annotated[
        list[str] | None,
        typer.Option(help=f"Method: {', '.join(METHODS)} (default: all installed)."),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Seed of the methods, may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Or this many seeds: 0, 1, …")] = 1,
    all_seeds: Annotated[
        bool, typer.Option("--all-seeds", help="Or as many as the leaderboard wants of each task.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            min=1.0, help="Seconds after which a reconstruction is ended (default: the task's)."
        ),
    ] = None,
    out_directory: Annotated[
        Path, typer.Option("--out", help="Work directory; finished runs in it are used again.")
    ] = Path("runs/bench"),
    record_to: Annotated[
        Path | None, typer.Option("--record", help="Also keep the records in this directory.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Run again what is already there.")] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Run nothing; say what is done and what is left.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print records, not a table.")] = False,
) -> None:
    """Run methods on tasks; the default is the embedded task, one seed and every method.

    A task states the seed of its patterns; they are the same for every run. Under torchrun or srun
    every process takes its share of the runs, and the page is made afterwards.
    """
    started = time.monotonic()
    tasks = [load_task(name).scaled(scale) for name in _names(task or [], suite or [])]
    methods = [find_method(name) for name in dict.fromkeys(method or installed(tasks))]
    if all_seeds and (seed or seeds != 1):
        raise ConfigError("give one of --all-seeds, --seeds and --seed")
    chosen = None if all_seeds else list(dict.fromkeys(seed or range(seeds)))
    share = WHOLE if status else Share.taken()
    if fresh and not share.is_whole:
        raise ConfigError(
            "--fresh under several processes would have each of them make the patterns anew; "
            f"remove {out_directory}, or run in another directory (--out)"
        )
    planned = pipeline.plan(tasks, methods, chosen, out_directory, budget, share)
    matrix = Matrix.of(planned, fresh=fresh)
    if status:
        out.print(matrix.table())
        out.print(matrix.line(), highlight=False, soft_wrap=True)
        return
    err.print(matrix.table())
    with stopping.keeping(lambda: f"{matrix.line()}; {_go_on()}"):
        records = pipeline.run(
            tasks, methods, chosen, out_directory,
            budget_s=budget, fresh=fresh, told=matrix.note, share=share,
        )  # fmt: skip
    if record_to:
        pipeline.keep(records, record_to)
    show(records, as_json)
    if not share.is_whole:
        say(f"{matrix.line()}; when all have: xrai-bench report {out_directory}", head=f"{share}:")
        return  # one that fails would have the others ended
    page = out_directory / "report.html"
    report.write(page, [_with_views(one, out_directory) for one in records])
    say(f"report with curves and slices: {page} ({time.monotonic() - started:.0f} s in all)")
    say(matrix.line() + ("" if matrix.complete else f"; {_go_on()}"))
    if any(one.failed for one in records):
        raise typer.Exit(1)


def _names(tasks: list[str], suite: list[str]) -> list[str]:
    """Return the names of what is asked for, or else of the task that runs by default."""
    named = [*tasks, *(name for one in suite for name in task_names(one))]
    return list(dict.fromkeys(named)) or ["quick"]


def _go_on() -> str:
    """Return how to go on: without --fresh, which would run again what is finished."""
    return f"go on with {stopping.again().replace(' --fresh', '')}"


def _with_views(one: Record, work: Path) -> report.Shown:
    return report.with_views(one, pipeline.run_directory(work, one.task, one.method, one.seed))
