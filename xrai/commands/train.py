"""``xrai train`` and ``xrai resume``."""

from pathlib import Path
from typing import Annotated

import typer

from xrai import train as training
from xrai.commands import options
from xrai.commands.report import served
from xrai.config import TrainConfig
from xrai.sources.config import SourceConfig
from xrai.sources.follow import FollowedFiles
from xrai.sources.live import LiveSource
from xrai.sources.pushed import listen as listen_at
from xrai.sources.seal import read_token
from xraisim import console
from xraisim.core import config as configuration
from xraisim.core.processes import processes_of
from xraisim.files.result import INTENSITY, Result
from xraisim.files.result import as_json as as_json_text
from xraisim.report.server import DEFAULT_PORT, LOOPBACK


def train(
    patterns: Annotated[
        Path | None, typer.Argument(help="Pattern file of `xrai-sim make`, or its shards' name.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run directory to make.")] = Path("run"),
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    mode: Annotated[
        str | None, typer.Option(help="hybrid: search and encoder; amortised: no search; or paper.")
    ] = None,
    device: options.Device = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    symmetry: Annotated[
        str | None, typer.Option(help="Point group of the particle: C1 … C99, D1 …, T, O, I.")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Go to this resolution d in Å (default: to the edge).")
    ] = None,
    single_pass: Annotated[
        bool, typer.Option("--single-pass", help="Read every pattern once (for long streams).")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="The file is still being written: read it as it grows.")
    ] = False,
    listen: Annotated[
        str | None, typer.Option(help="Take patterns of `xrai push`, at tcp://127.0.0.1:PORT.")
    ] = None,
    token_file: options.TokenFile = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print all settings as TOML and stop.")
    ] = False,
    live: options.Live = False,
    live_port: options.LivePort = DEFAULT_PORT,
    live_host: options.LiveHost = LOOPBACK,
    as_json: options.Json = False,
) -> None:
    """Reconstruct the intensity and every orientation from a pattern file.

    The run directory gets config.toml, checkpoint.pt, metrics.jsonl, poses.h5, intensity.h5,
    intensity.mrc, the half-sets' volumes and result.json. An interrupted run continues with `xrai
    resume`.
    """
    given = {
        "mode": mode,
        "device": device,
        "seed": seed,
        "symmetry": symmetry,
        "resolution_angstrom": resolution,
        "single_pass": single_pass or None,
    }
    settings = configuration.given_or_default(TrainConfig, config, given)
    if show_config:
        typer.echo(configuration.dumps(settings))
        return
    source = _source(patterns, follow, listen, settings.source, token_file)
    with (
        processes_of(settings.device) as processes,
        served(live and processes.is_leader, out, live_port, live_host),
    ):
        result = training.reconstruct(source, out, settings, processes=processes)
    if processes.is_leader:
        _report(result, out, as_json)


def resume(
    run: options.Run,
    device: options.Device = None,
    token_file: options.TokenFile = None,
    live: options.Live = False,
    live_port: options.LivePort = DEFAULT_PORT,
    live_host: options.LiveHost = LOOPBACK,
    as_json: options.Json = False,
) -> None:
    """Continue an interrupted run from its last checkpoint."""
    with (
        processes_of(device or "auto") as processes,
        served(live and processes.is_leader, run, live_port, live_host),
    ):
        result = training.resume(
            run, device=device, processes=processes, token=read_token(token_file)
        )
    if processes.is_leader:
        _report(result, run, as_json)


def _source(
    patterns: Path | None,
    follow: bool,
    listen: str | None,
    config: SourceConfig,
    token_file: Path | None,
) -> Path | LiveSource:
    """Return where the patterns come from: exactly one of a file and a socket."""
    if (patterns is None) == (listen is None):
        raise typer.BadParameter("give a pattern file, or --listen ADDRESS, and not both")
    if listen is not None:
        return listen_at(listen, config, token=read_token(token_file))
    assert patterns is not None
    return FollowedFiles(patterns, config) if follow else patterns


def _report(result: Result, directory: Path, as_json: bool) -> None:
    if as_json:
        typer.echo(as_json_text(result))
        return
    console.conclude(
        result.rows(),
        f"xrai report {directory}",
        f"xrai-baseline phase {directory / INTENSITY} --out {directory / 'phasing'}",
    )
