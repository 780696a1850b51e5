"""``xrai-baseline phase``: from an intensity volume to a density."""

from pathlib import Path
from threading import Event
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from baselines.phasing.config import PhasingConfig
from baselines.phasing.output import result_of, write_result
from baselines.phasing.run import PhasingResult
from baselines.phasing.run import phase as run_phasing
from baselines.phasing.support import FIRST_THRESHOLD, stated_support
from xraisim import stopping
from xraisim.console import Force, out, progress, say
from xraisim.core.config import given_or_default
from xraisim.core.errors import FormatError
from xraisim.core.types import Volume
from xraisim.files.lock import new_directory
from xraisim.files.outputs import claim
from xraisim.files.result import as_json as as_json_text
from xraisim.files.result import is_finished
from xraisim.files.volumes import read_attributes, read_volume


def phase(
    intensity: Annotated[Path, typer.Argument(help="Intensity volume: HDF5, MRC, .npy or .npz.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Directory for the density.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of phasing settings.")] = None,
    diameter: float | None = typer.Option(None, help="Particle diameter in Å."),
    resolution: float | None = typer.Option(None, help="Edge of the trusted intensity in Å."),
    beamstop: float | None = typer.Option(None, help="Spacing in Å below which |s| is unknown."),
    mask: Annotated[
        Path | None,
        typer.Option(help="Volume of weights on the same grid: 0 masked … 1 measured."),
    ] = None,
    kind: str | None = typer.Option(
        None, help="intensity: what a file of another program holds, which does not say so."
    ),
    spacing: float | None = typer.Option(None, help="Its voxel size in 1/Å."),
    support: Annotated[
        Path | None,
        typer.Option(
            help="Mask or density: the particle is where it exceeds the settings' threshold (0.1) "
            "of its maximum."
        ),
    ] = None,
    starts: int | None = typer.Option(None, help="Random starts."),
    background: bool | None = typer.Option(None, help="Fit a background constant in each shell."),
    positivity: bool | None = typer.Option(None, help="Allow no density below zero."),
    device: str | None = typer.Option(None, help="cpu, cuda or auto."),
    seed: int = typer.Option(0, help="Seed of the random starts."),
    force: Force = False,
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Retrieve the phases of an intensity volume: its density, and how far it can be trusted.

    Told to stop once (Ctrl-C, SIGTERM), it averages and writes what it has; twice, it ends at once.
    """
    claim(out_dir, replace=force)
    given: dict[str, Any] = {
        "diameter_angstrom": diameter,
        "s_max_per_angstrom": _inverse("resolution", resolution),
        "s_min_per_angstrom": _inverse("beamstop", beamstop),
        "starts": starts,
        "background": background,
        "positivity": positivity,
        "device": device,
    }
    if starts is not None:
        given["refined"] = min(given_or_default(PhasingConfig, config, {}).refined, starts)
    settings = given_or_default(PhasingConfig, config, given)
    volume = read_volume(intensity, kind=kind, spacing=spacing)
    settings = settings.completed(read_attributes(intensity))
    if negative := int((volume.values < 0).sum()):
        say(f"{negative:,} of {volume.values.numel():,} intensities are below zero: taken for zero")
    weight = None if mask is None else _read_weight(mask, volume)
    region = None if support is None else _read_support(support, volume, settings)
    halt = Event()
    kept = stopping.keeping(lambda: _kept(out_dir, halt))
    with new_directory(out_dir), kept, stopping.deferred(lambda: _stop(halt)):
        with progress("phasing", settings.iterations) as advance:
            result = run_phasing(
                volume, settings, seed, advance, weight=weight, support=region, halt=halt
            )
        write_result(out_dir, result, settings, seed)
    for doubt in result.doubts:
        say(doubt, "warning:", "bold yellow")
    if as_json:
        out.print_json(as_json_text(result_of(result, settings, seed)))
        return
    out.print(_table(result, settings))
    say(f"{result.kept} of {len(result.r_factors)} refined starts agree: {result.resolution.rule} "
        f"{result.resolution}; density in {out_dir / 'density.mrc'}")  # fmt: skip


def _inverse(name: str, angstrom: float | None) -> float | None:
    if angstrom is not None and not angstrom > 0:
        raise typer.BadParameter(f"--{name} is {angstrom} Å; it must be positive")
    return None if angstrom is None else 1 / angstrom


def _read_weight(path: Path, intensity: Volume) -> torch.Tensor:
    values = read_volume(path, kind="intensity", spacing=intensity.spacing).values
    if not (values > 0).any():
        raise FormatError(f"{path} masks every voxel; expected weights from 0 to 1")
    return values


def _read_support(path: Path, intensity: Volume, settings: PhasingConfig) -> torch.Tensor:
    given = read_volume(path, kind="density", field=1 / intensity.spacing)
    threshold = settings.threshold or FIRST_THRESHOLD
    return stated_support(given, threshold, intensity.grid, intensity.spacing)


def _stop(halt: Event) -> None:
    halt.set()
    stopping.take_time()
    say("told to stop: averaging what there is; once more ends it at once")


def _kept(out_dir: Path, halt: Event) -> str:
    """Say what a run that ended early has written; the result is written last."""
    again = f"phase anew with {stopping.again()}"
    if not halt.is_set() or not is_finished(out_dir):
        return f"no density is written; {again}"
    return f"the average of the starts as they were is in {out_dir}; {again}"


def _table(result: PhasingResult, settings: PhasingConfig) -> Table:
    """Return the figures of a run as two columns."""
    table = Table(show_header=False)
    coarse, fine = result.coarse_r_factors, result.r_factors
    rows = {
        "resolution, " + result.resolution.rule: str(result.resolution),
        f"R-factor of {len(coarse)} starts, coarse": f"{coarse[0]:.3f} … {coarse[-1]:.3f}",
        f"R-factor of {len(fine)} refined": ", ".join(f"{value:.3f}" for value in fine),
        f"within {settings.r_tolerance} × the best, averaged": str(result.kept),
        "agreement with its own inverse": ", ".join(f"{x:.2f}" for x in result.twin_overlaps),
        "starts freed of their twin": str(result.twins_broken),
        "support": f"{result.support_angstrom3:,.0f} Å³" + _chosen(result),
        "diameter": f"{result.diameter_angstrom:.0f} Å",
        "time": f"{result.seconds:.1f} s" + (", interrupted" if result.interrupted else ""),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _chosen(result: PhasingResult) -> str:
    if not result.trials:
        return ""
    tried = ", ".join(f"{one.threshold:g} {one.free_r_factor:.3f}" for one in result.trials)
    return f", above {result.threshold:g} of the maximum (R-factor held out: {tried})"
