"""``xrai-sim plan``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from xraisim import console
from xraisim.commands import options
from xraisim.core.json_text import to_json
from xraisim.files.outputs import claim_picture
from xraisim.planning.figure import plan_figure
from xraisim.planning.plan import plan
from xraisim.planning.table import cautions, mapping, shell_tables, summary


def plan_command(
    pdb: options.Structure = None,
    chains: options.Chains = None,
    assembly: options.Assembly = None,
    instrument: options.Instrument = None,
    resolution: options.Resolution = None,
    structures: options.Structures = None,
    config: options.Settings = None,
    png: Annotated[Path, typer.Option(help="Picture to write.")] = Path("plan.png"),
    as_json: options.JsonFlag = False,
) -> None:
    """Say what to expect of an experiment: photons, sampling, orientations, patterns needed.

    Nothing is simulated; the formulas and their sources are in docs/explanation/planning.md.
    """
    flags = {"structure": pdb, "chains": chains, "assembly": assembly, "instrument": instrument}
    claim_picture(png, [config])
    with console.warnings_said():
        found = plan(
            options.settings(config, flags, resolution),
            structures=structures,
            fit_distance=options.distance_is_free(config, instrument),
        )
    plan_figure(found, png)
    if as_json:
        typer.echo(to_json({**mapping(found), "picture": str(png)}, indent=2))
        return
    table = Table(title=f"{found.structure} on {found.instrument}", show_header=False)
    for row in summary(found):
        table.add_row(*row)
    console.out.print(table, *shell_tables(found))
    for caution in cautions(found):
        console.say(f"caution: {caution}")
    console.say(f"wrote {png}")
