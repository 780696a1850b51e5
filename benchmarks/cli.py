"""``xrai-bench``: run the benchmark, show its table, write its report, check for regressions."""

import json
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import leaderboard, pipeline, record, report
from benchmarks.methods import METHODS, find_method, installed
from benchmarks.record import Record
from benchmarks.task import load_task, task_names
from xraisim.console import entry_point, make_app, out, say
from xraisim.core.errors import ConfigError

app = make_app(
    "Simulate, reconstruct with every method, phase, score against the truth.",
    "xrai-bench run\n\n"
    "xrai-bench run --method xrai --seeds 3\n\n"
    "xrai-bench table --write LEADERBOARD.md\n\n"
    "xrai-bench check runs/bench --against benchmarks/records",
)
main = entry_point(app)

_RECORDS = Path(str(files("benchmarks"))) / "records"


@app.command()
def run(
    task: Annotated[
        list[str], typer.Option(help=f"Task: {', '.join(task_names())}, or a TOML file.")
    ] = ["quick"],  # noqa: B006  # typer wants the default here
    method: Annotated[
        list[str] | None,
        typer.Option(help=f"Method: {', '.join(METHODS)} (default: all installed)."),
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seed, may be repeated.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Or this many seeds: 0, 1, …")] = 1,
    out_directory: Annotated[
        Path, typer.Option("--out", help="Work directory; finished runs in it are used again.")
    ] = Path("runs/bench"),
    record_to: Annotated[
        Path | None, typer.Option("--record", help="Also keep the records in this directory.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Run again what is already there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print records, not a table.")] = False,
) -> None:
    """Run methods on tasks; the default is the embedded task, one seed and every method."""
    started = time.monotonic()
    tasks = [load_task(name) for name in dict.fromkeys(task)]
    methods = [find_method(name) for name in dict.fromkeys(method or installed(tasks))]
    chosen = list(dict.fromkeys(seed or range(seeds)))
    records = pipeline.run(tasks, methods, chosen, out_directory, fresh=fresh)
    if record_to:
        pipeline.keep(records, record_to)
    page = out_directory / "report.html"
    report.write(page, [_with_slices(one, out_directory) for one in records])
    _show(records, as_json)
    say(f"report with curves and slices: {page} ({time.monotonic() - started:.0f} s in all)")
    if any(one.error and not one.not_installed for one in records):
        raise typer.Exit(1)


def _with_slices(one: Record, work: Path) -> report.Shown:
    return report.with_slices(one, pipeline.run_directory(work, one.task, one.method, one.seed))


def _show(records: Sequence[Record], as_json: bool) -> None:
    if as_json:
        print(json.dumps(pipeline.summary(records), indent=1))
        return
    found = leaderboard.entries(records)
    for one in leaderboard.tables(found):
        out.print(one)
    for failure in leaderboard.failures(found):
        out.print(failure, style="red", highlight=False, markup=False)


@app.command()
def table(
    records: Annotated[Path, typer.Option(help="Directory of records.")] = _RECORDS,
    write: Annotated[
        Path | None, typer.Option(help="Write the table as Markdown, such as LEADERBOARD.md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print records, not a table.")] = False,
) -> None:
    """Show the leaderboard of a directory of records (default: those that ship)."""
    found = record.read_all(records)
    if write:
        record.write_text(write, leaderboard.markdown(leaderboard.entries(found)))
        say(f"wrote {write}")
        return
    _show(found, as_json)


@app.command("report")
def report_command(
    runs: Annotated[Path, typer.Argument(help="Work directory or directory of records.")] = Path(
        "runs/bench"
    ),
    page: Annotated[Path | None, typer.Option("--out", help="Default: RUNS/report.html.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Write slices and FSC curves as an image instead.")
    ] = None,
) -> None:
    """Write the HTML page again from records, or one picture of the runs."""
    shown = report.load(runs)
    if picture:
        report.write_picture(picture, shown)
        say(f"wrote {picture}")
        return
    page = page or (runs if runs.is_dir() else runs.parent) / "report.html"
    report.write(page, shown)
    say(f"wrote {page}")


@app.command()
def check(
    records: Annotated[Path, typer.Argument(help="Records to check.")],
    against: Annotated[Path, typer.Option(help="Records to compare with.")] = _RECORDS,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Fraction by which a resolution may be worse.")
    ] = 0.1,
) -> None:
    """Exit with 1 if a resolution is worse than in the baseline by more than the tolerance."""
    found, baseline = record.read_all(records), record.read_all(against)
    common = {(r.task, r.method) for r in found} & {(r.task, r.method) for r in baseline}
    if not common:
        raise ConfigError(
            f"{records} and {against} have no task and method in common; nothing can be compared"
        )
    worse = leaderboard.regressions(found, baseline, tolerance)
    for line in worse:
        out.print(f"worse: {line}", highlight=False)
    if worse:
        raise typer.Exit(1)
    say(f"no resolution is worse by more than {tolerance:.0%} in {len(common)} comparisons")


if __name__ == "__main__":
    main()
