"""The command ``xrai-baseline``."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from baselines.commands.dragonfly import dragonfly
from baselines.commands.report import report_command
from baselines.emc import EmcConfig, reconstruct
from baselines.phasing.config import PhasingConfig
from baselines.phasing.output import summary, write_result
from baselines.phasing.run import phase as run_phasing
from xraisim.console import entry_point, make_app, out, progress, say
from xraisim.core import config as toml
from xraisim.core.processes import processes_of
from xraisim.files.volumes import read_attributes, read_volume

app = make_app(
    "Classical reconstruction: orientations by EMC, phases by iterated projections.",
    "xrai-baseline emc patterns.h5 --out run\n\n"
    "xrai-baseline report run --patterns patterns.h5\n\n"
    "xrai-baseline phase run/intensity.h5 --out run/phasing",
)
app.command("report")(report_command)
main = entry_point(app)
app.command()(dragonfly)


@app.command()
def phase(
    intensity: Annotated[Path, typer.Argument(help="Intensity volume, HDF5 or MRC.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Directory for the density.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of phasing settings.")] = None,
    diameter: float | None = typer.Option(None, help="Particle diameter in Å."),
    resolution: float | None = typer.Option(None, help="Edge of the trusted intensity in Å."),
    beamstop: float | None = typer.Option(None, help="Spacing in Å below which |s| is unknown."),
    starts: int | None = typer.Option(None, help="Random starts."),
    device: str | None = typer.Option(None, help="cpu or cuda."),
    seed: int = typer.Option(0, help="Seed of the random starts."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Retrieve the phases of an intensity volume: its density, and how far it can be trusted."""
    given = {
        "diameter_angstrom": diameter,
        "s_max_per_angstrom": _inverse("resolution", resolution),
        "s_min_per_angstrom": _inverse("beamstop", beamstop),
        "starts": starts,
        "device": device,
    }
    settings = toml.load(PhasingConfig, config) if config else PhasingConfig()
    changed: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
    settings = dataclasses.replace(settings, **changed)
    volume = read_volume(intensity)
    if intensity.suffix != ".mrc":
        settings = settings.completed(read_attributes(intensity))
    with progress("phasing", settings.iterations) as advance:
        result = run_phasing(volume, settings, seed, advance)
    write_result(out_dir, result, settings, seed)
    if as_json:
        out.print_json(json.dumps(summary(result)))
        return
    say(f"{result.kept} of {settings.refined} refined starts agree: {result.resolution.rule} "
        f"{result.resolution}; density in {out_dir / 'density.mrc'}")  # fmt: skip


@app.command()
def emc(
    patterns: Annotated[Path, typer.Argument(help="Pattern file.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Directory for the results.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of EMC settings.")] = None,
    d_min: float | None = typer.Option(None, help="March no further than this many Å."),
    restarts: int | None = typer.Option(None, help="Random starts."),
    device: str | None = typer.Option(None, help="cpu, cuda or auto."),
    seed: int | None = typer.Option(None, help="Seed of the random starts."),
    resume: bool = typer.Option(False, "--resume", help="Go on where a run was interrupted."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Find orientations and intensity by expand-maximize-compress (EMC)."""
    given = {"d_min_angstrom": d_min, "restarts": restarts, "device": device, "seed": seed}
    settings = toml.load(EmcConfig, config) if config else EmcConfig()
    changed: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
    settings = dataclasses.replace(settings, **changed)
    with processes_of(settings.device) as processes:
        shown = processes.is_leader
        with progress("EMC iterations", settings.iterations, shown=shown) as advance:
            done = reconstruct(
                patterns, out_dir, settings, resume=resume, progress=advance, processes=processes
            )
    if not processes.is_leader:
        return
    if as_json:
        out.print_json(json.dumps(dataclasses.asdict(done)))
        return
    say(f"{done.patterns:,} patterns to {done.d_min_angstrom:.1f} Å in {done.seconds:.0f} s; "
        f"intensity in {out_dir / 'intensity.mrc'}")  # fmt: skip


def _inverse(name: str, angstrom: float | None) -> float | None:
    if angstrom is not None and not angstrom > 0:
        raise typer.BadParameter(f"--{name} is {angstrom} Å; it must be positive")
    return None if angstrom is None else 1 / angstrom
