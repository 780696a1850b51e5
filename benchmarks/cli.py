"""``xrai-bench``: run the benchmark, show its table, write its report, hold it against bands."""

import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import band, check, leaderboard, pipeline, record, report
from benchmarks.methods import METHODS, find_method, installed
from benchmarks.record import Record
from benchmarks.task import load_task, task_names
from xraisim import stopping
from xraisim.console import entry_point, make_app, out, say
from xraisim.core.errors import ConfigError
from xraisim.core.json_text import to_json
from xraisim.files.atomic import write_text
from xraisim.files.outputs import claim_picture

app = make_app(
    "Simulate, reconstruct with every method, phase, score against the truth.",
    "xrai-bench run\n\n"
    "xrai-bench run --method xrai --seeds 3\n\n"
    "xrai-bench table --write LEADERBOARD.md\n\n"
    "xrai-bench check runs/bench",
)
main = entry_point(app)

_RECORDS = Path(str(files("benchmarks"))) / "records"
_WATCHED = _RECORDS / "watched"


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
    with stopping.keeping(lambda: f"finished runs are kept; go on with {stopping.again()}"):
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
        print(to_json(pipeline.summary(records), indent=1))
        return
    found = leaderboard.entries(records)
    for one in leaderboard.tables(found):
        out.print(one)
    for failure in leaderboard.failures(found):
        out.print(failure, style="red", highlight=False)


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
        write_text(write, leaderboard.markdown(leaderboard.entries(found)))
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
    for path in filter(None, (page, picture)):
        claim_picture(path, [runs])
    if picture:
        report.write_picture(picture, shown)
        say(f"wrote {picture}")
        return
    page = page or (runs if runs.is_dir() else runs.parent) / "report.html"
    report.write(page, shown)
    say(f"wrote {page}")


@app.command("band")
def band_command(
    records: Annotated[Path, typer.Argument(help="Records of ten or more seeds.")],
    write: Annotated[Path, typer.Option(help="Directory of bands to write to.")] = _WATCHED,
) -> None:
    """Make the bands against which `check` holds new records: figures and curves over seeds."""
    for entry in leaderboard.entries(record.read_all(records)):
        found = band.make((*entry.records, *entry.failed))
        say(f"wrote {band.write(write, found)} ({len(found.seeds)} seeds)")
    print(band.markdown(band.read_all(write)))


@app.command("check")
def check_command(
    records: Annotated[Path, typer.Argument(help="Records to check.")],
    against: Annotated[Path, typer.Option(help="Directory of bands.")] = _WATCHED,
    spreads: Annotated[
        float, typer.Option(min=0.0, help="By how many spreads over seeds a figure may move.")
    ] = check.SPREADS,
) -> None:
    """Exit with 1 if any figure or curve is worse than its band of seeds; tell what is better."""
    found, bands = record.read_all(records), band.read_all(against)
    watched = [one for one in found if (one.task, one.method) in bands]
    if not watched:
        raise ConfigError(
            f"{records} and {against} have no task and method in common; nothing can be compared"
        )
    findings = check.check(watched, bands, spreads)
    for one in findings:
        out.print(str(one), highlight=False, soft_wrap=True)
    if any(one.verdict == check.WORSE for one in findings):
        raise typer.Exit(1)
    say(f"nothing is worse than its band by {spreads:g} spreads in {len(watched)} runs")


if __name__ == "__main__":
    main()
