"""``xrai-sim make``."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from xraisim import console, stopping
from xraisim.commands import options
from xraisim.core.json_text import to_json
from xraisim.files.lock import only_writer
from xraisim.files.outputs import claim
from xraisim.files.resume import leftovers
from xraisim.simulation.forecast import Forecast
from xraisim.simulation.make import simulate


def make_command(
    pdb: options.Structure = None,
    n: Annotated[int | None, typer.Option(help="Number of patterns, over all shards.")] = None,
    out: Annotated[Path, typer.Option(help="Pattern file to write.")] = Path("patterns.h5"),
    chains: options.Chains = None,
    assembly: options.Assembly = None,
    instrument: options.Instrument = None,
    resolution: options.Resolution = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    engine: Annotated[str | None, typer.Option(help="What draws: cpu or cuda.")] = None,
    shard: options.ShardName = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what an interrupted run left, if anything.")
    ] = False,
    force: console.Force = False,
    structures: options.Structures = None,
    config: options.Settings = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Make a pattern file, and its truth file beside it.

    Unless an instrument is named, the detector is as far away as the particle's speckles ask for.
    What it will take is said before it starts. The whole configuration is written into the
    truth file. Structures are looked for as a path, in
    --structures, in $XRAI_STRUCTURES, among those shipped, in the cache, and are then fetched.
    """
    flags = {"structure": pdb, "patterns": n, "chains": chains, "assembly": assembly}
    flags |= {"instrument": instrument, "seed": seed, "engine": engine}
    settings, part = options.settings(config, flags, resolution), options.part(shard, out)
    names = ", ".join(one.label for one in settings.sample)
    total = len(part.patterns(settings.patterns))
    target = part.path(out)
    claim(target, [config], replace=force or resume, advice="check it with --resume, ")
    kept = stopping.keeping(lambda: _kept(target))
    with console.warnings_said(), only_writer(target), kept:
        console.say(f"simulating {names} on {settings.instrument}")
        with console.progress("patterns", total) as advance:
            summary = simulate(
                settings,
                out,
                structures=structures,
                shard=part,
                fit_distance=options.distance_is_free(config, instrument),
                resume=resume,
                told=_say_ahead,
                progress=advance,
            )
    if as_json:
        typer.echo(to_json(dataclasses.asdict(summary), indent=2))
    else:
        table = options.key_value_table(dataclasses.asdict(summary), "Simulated patterns")
        console.out.print(table)


def _say_ahead(ahead: Forecast) -> None:
    console.say(
        f"detector at {ahead.distance_mm:g} mm, to {ahead.resolution_angstrom:.1f} Å: "
        f"{ahead.pixels_per_speckle:.2f} pixels along a speckle of a "
        f"{ahead.diameter_angstrom:.0f} Å particle"
    )
    console.say(
        f"about {ahead.photons_per_pattern:,.0f} photons in each of {ahead.patterns:,} patterns, "
        f"{decimal(round(ahead.file_bytes))}, {console.duration_text(ahead.seconds)}"
    )


def _kept(out: Path) -> str:
    """Say what is left to go on with when a run is interrupted, and how."""
    left = leftovers(out)
    if not left:
        return f"no patterns are kept yet; begin again with {stopping.again()}"
    return f"{left}; go on with {stopping.again('--resume')}"
