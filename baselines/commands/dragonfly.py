"""``xrai-baseline dragonfly``: EMC by another program, where it is installed."""

from pathlib import Path
from typing import Annotated

import typer

from baselines.external.dragonfly import DragonflyConfig, reconstruct
from xraisim.console import Force, conclude, out, progress
from xraisim.core.config import given_or_default
from xraisim.files.outputs import claim
from xraisim.files.result import INTENSITY
from xraisim.files.result import as_json as as_json_text


def dragonfly(
    patterns: Annotated[Path, typer.Argument(help="Pattern file.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Directory for the results.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of Dragonfly settings.")] = None,
    num_div: int | None = typer.Option(None, help="Its rotation grid, 10(5n³ + n) orientations."),
    iterations: int | None = typer.Option(None, help="How many are made."),
    d_min: float | None = typer.Option(None, help="Leave out pixels beyond this many Å."),
    time_limit: float | None = typer.Option(None, help="Stop it after so many seconds."),
    seed: int | None = typer.Option(None, help="Seed of the random start."),
    force: Force = False,
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Find orientations and intensity by Dragonfly (dragonfly-spi), if that is installed."""
    given = {
        "num_div": num_div,
        "iterations": iterations,
        "d_min_angstrom": d_min,
        "time_limit_s": time_limit,
        "seed": seed,
    }
    settings = given_or_default(DragonflyConfig, config, given)
    claim(out_dir, replace=force)
    with progress("Dragonfly iterations", settings.iterations) as advance:
        done = reconstruct(patterns, out_dir, settings, progress=advance)
    if as_json:
        out.print_json(as_json_text(done))
        return
    conclude(
        done.rows(),
        f"xrai-baseline report {out_dir} --patterns {patterns}",
        f"xrai-baseline phase {out_dir / INTENSITY} --out {out_dir / 'phasing'}",
    )
