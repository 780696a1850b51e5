"""``xrai-bench band`` and ``check``: hold records against bands of seeds."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import leaderboard, record, regression_band, regression_check
from benchmarks.record import RECORDS, RUN
from xraisim.console import out, say
from xraisim.core.errors import ConfigError

WATCHED = RECORDS / "watched"


def band_command(
    records: Annotated[Path, typer.Argument(help="Records of ten or more seeds.")],
    write: Annotated[Path, typer.Option(help="Directory of bands to write to.")] = WATCHED,
) -> None:
    """Make the bands against which `check` holds new records: metrics and curves over seeds."""
    own = [one for one in record.read_all(records) if one.origin == RUN]
    for entry in leaderboard.entries(own):
        found = regression_band.make((*entry.records, *entry.failed))
        say(f"wrote {regression_band.write(write, found)} ({len(found.seeds)} seeds)")
    print(regression_band.markdown(regression_band.read_all(write)))


def check_command(
    records: Annotated[Path, typer.Argument(help="Records to check.")],
    against: Annotated[Path, typer.Option(help="Directory of bands.")] = WATCHED,
    spreads: Annotated[
        float, typer.Option(min=0.0, help="By how many spreads over seeds a metric may move.")
    ] = regression_check.SPREADS,
) -> None:
    """Exit with 1 if any metric or curve is worse than its band of seeds; tell what is better."""
    found, bands = record.read_all(records), regression_band.read_all(against)
    watched = [one for one in found if one.origin == RUN and (one.task, one.method) in bands]
    if not watched:
        raise ConfigError(
            f"{records} and {against} have no task and method in common; nothing can be compared"
        )
    findings = regression_check.check(watched, bands, spreads)
    for one in findings:
        out.print(str(one), highlight=False, soft_wrap=True)
    if any(one.verdict == regression_check.WORSE for one in findings):
        raise typer.Exit(1)
    say(f"nothing is worse than its band by {spreads:g} spreads in {len(watched)} runs")
