"""``xrai-sim``: make, inspect and validate pattern files; list the instruments."""

import dataclasses
import json
import tomllib
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from xraisim import console
from xraisim.core.errors import ConfigError
from xraisim.inspection import inspect
from xraisim.instruments import PRESETS, describe
from xraisim.make import simulate
from xraisim.shards import Shard
from xraisim.simulation import SimulationConfig, from_mapping
from xraisim.validate import validate

_EXAMPLES = """\
xrai-sim make --pdb 4v5d --chains 'B*' --n 10000 --resolution 18 --out patterns.h5

xrai-sim make --pdb 4v6x --n 5000000 --shard $SLURM_ARRAY_TASK_ID/8 --resume

xrai-sim inspect patterns.h5 --png patterns.png

xrai-sim validate patterns.h5"""

app = console.make_app("Simulate X-ray single particle imaging.", _EXAMPLES)
main = console.entry_point(app)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PatternFile = Annotated[Path, typer.Argument(help="A pattern file.")]


@app.command("make")
def make_command(
    pdb: Annotated[str | None, typer.Option(help="Structure: a path or a PDB identifier.")] = None,
    n: Annotated[int | None, typer.Option(help="Number of patterns.")] = None,
    out: Annotated[Path, typer.Option(help="Pattern file to write.")] = Path("patterns.h5"),
    chains: Annotated[str | None, typer.Option(help="Chains to keep, such as 'B*,C'.")] = None,
    assembly: Annotated[str | None, typer.Option(help="Biological assembly, such as 1.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Preset; see instruments.")] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Keep pixels to this resolution d in Å.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    engine: Annotated[str | None, typer.Option(help="What draws: cpu or cuda.")] = None,
    shard: Annotated[
        str, typer.Option(help="Make part k of n, as 3/8; readers take all parts as one.")
    ] = "1/1",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what an interrupted run left.")
    ] = False,
    structures: Annotated[
        Path | None, typer.Option(help="Directory to look for structures in first.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with any of the settings; flags win over it.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a pattern file, and its truth file beside it.

    The whole configuration is written into the file. Structures are looked for as a path, in
    --structures, in $XRAI_STRUCTURES, among those shipped, in the cache, and are then fetched.
    """
    flags = {"structure": pdb, "patterns": n, "chains": chains, "assembly": assembly}
    flags |= {"instrument": instrument, "seed": seed, "engine": engine}
    settings, part = _settings(config, flags, resolution), Shard.parse(shard)
    total = len(part.patterns(settings.patterns))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        names = ", ".join(one.label for one in settings.sample)
        console.say(f"simulating {names} on {settings.instrument}")
        with console.progress("patterns", total) as advance:
            summary = simulate(
                settings, out, structures=structures, shard=part, resume=resume, progress=advance
            )
    for warning in caught:
        console.say(f"warning: {warning.message}")
    _print(dataclasses.asdict(summary), "Simulated patterns", as_json)


@app.command("inspect")
def inspect_command(
    patterns: PatternFile,
    png: Annotated[Path | None, typer.Option(help="Picture to write.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print the figures of a pattern file and write a picture of it (by default beside it)."""
    picture = png or patterns.with_suffix(".png")
    figures = dataclasses.asdict(inspect(patterns, picture))
    _print({**figures, "picture": str(picture)}, "Pattern file", as_json)


@app.command("validate")
def validate_command(patterns: PatternFile, as_json: JsonFlag = False) -> None:
    """Check a pattern file; the exit code is 1 if a check fails."""
    findings = validate(patterns)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            verdict = "[red]failed[/]" if finding.problems else "[green]passed[/]"
            console.out.print(f"{verdict}  {finding.name}", highlight=False)
            for problem in finding.problems:
                console.out.print(f"        {problem}", highlight=False, markup=False)
    if any(finding.problems for finding in findings):
        raise typer.Exit(1)


@app.command("instruments")
def instruments_command(as_json: JsonFlag = False) -> None:
    """List the instrument presets."""
    if as_json:
        presets = {name: dataclasses.asdict(preset) for name, preset in PRESETS.items()}
        typer.echo(json.dumps(presets, indent=2))
        return
    table = Table("name", "beam", "detector", "source")
    for name, preset in PRESETS.items():
        beam, detector = preset.beam, preset.detector
        table.add_row(
            name,
            f"{beam.photon_energy_ev:g} eV, {beam.fluence_photons_per_um2:.3g} photons/µm²",
            describe(detector),
            preset.source,
        )
    console.out.print(table)


def _settings(
    path: Path | None, flags: dict[str, Any], resolution: float | None
) -> SimulationConfig:
    """Return the configuration of a TOML file, if any, with the flags that were given over it."""
    mapping = _read_toml(path) if path else {}
    mapping |= {key: value for key, value in flags.items() if value is not None}
    if resolution is not None:
        if not resolution > 0:
            raise ConfigError(f"--resolution is {resolution}; it is a distance in Å above zero")
        mapping["detector"] = {**mapping.get("detector", {}), "s_max_per_angstrom": 1 / resolution}
    return from_mapping(mapping)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _print(values: dict[str, Any], title: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(values, indent=2))
        return
    table = Table(title=title, show_header=False)
    for key, value in values.items():
        table.add_row(key, _text(value))
    console.out.print(table)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " … ".join(_text(item) for item in value)
    return f"{value:,.5g}" if isinstance(value, float) else str(value)
