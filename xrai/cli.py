"""The command ``xrai``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from xrai import checkpoint, export, infer
from xrai import train as training
from xrai.config import TrainConfig
from xrai.report.command import report_command, served
from xrai.report.server import DEFAULT_PORT, LOOPBACK
from xraisim import console
from xraisim.core import config as configuration
from xraisim.core.processes import processes_of

app = console.make_app(
    "X-RAI: online, amortised reconstruction from single-particle diffraction patterns.",
    "xrai train patterns.h5 --out run\n\n"
    "xrai train patterns.h5 --out run --config mine.toml --device cuda\n\n"
    "xrai train patterns.h5 --out run --live\n\n"
    "xrai resume run\n\n"
    "xrai report run --patterns patterns.h5\n\n"
    "xrai poses run more_patterns.h5 --out more_poses.h5\n\n"
    "xrai export run --out volumes",
)
main = console.entry_point(app)

RunArgument = Annotated[Path, typer.Argument(help="Run directory of `xrai train`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
LiveOption = Annotated[bool, typer.Option("--live", help="Serve the report while it runs.")]
LivePort = Annotated[int, typer.Option(help="Port of --live; 0: any that is free.")]
LiveHost = Annotated[
    str, typer.Option(help="Address of --live; others can look if it is not loopback.")
]

app.command("report")(report_command)


@app.command()
def train(
    patterns: Annotated[Path, typer.Argument(help="Pattern file of `xrai-sim make`.")],
    out: Annotated[Path, typer.Option(help="Run directory to make.")] = Path("run"),
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda[:N].")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    symmetry: Annotated[
        str | None, typer.Option(help="Point group of the particle: C1 … C99, D1 …, T, O, I.")
    ] = None,
    single_pass: Annotated[
        bool, typer.Option("--single-pass", help="Read every pattern once (for long streams).")
    ] = False,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print all settings as TOML and stop.")
    ] = False,
    live: LiveOption = False,
    live_port: LivePort = DEFAULT_PORT,
    live_host: LiveHost = LOOPBACK,
    as_json: JsonOption = False,
) -> None:
    """Reconstruct the intensity and every orientation from a pattern file.

    The run directory gets config.toml, checkpoint.pt, metrics.jsonl, poses.h5, intensity.h5,
    intensity.mrc and summary.json. An interrupted run continues with `xrai resume`.
    """
    given = {
        "device": device,
        "seed": seed,
        "symmetry": symmetry,
        "single_pass": single_pass or None,
    }
    settings = configuration.given_or_default(TrainConfig, config, given)
    if show_config:
        typer.echo(configuration.dumps(settings))
        return
    with (
        processes_of(settings.device) as processes,
        served(live and processes.is_leader, out, live_port, live_host),
    ):
        summary = training.train(patterns, out, settings, processes=processes)
    if processes.is_leader:
        _report(summary, out, as_json)


@app.command()
def resume(
    run: RunArgument,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda[:N].")] = None,
    live: LiveOption = False,
    live_port: LivePort = DEFAULT_PORT,
    live_host: LiveHost = LOOPBACK,
    as_json: JsonOption = False,
) -> None:
    """Continue an interrupted run from its last checkpoint."""
    with (
        processes_of(device or "auto") as processes,
        served(live and processes.is_leader, run, live_port, live_host),
    ):
        summary = training.resume(run, device=device, processes=processes)
    if processes.is_leader:
        _report(summary, run, as_json)


@app.command("export")
def export_command(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option(help="Directory (default: the run's).")] = None,
) -> None:
    """Write the intensity of the latest checkpoint as HDF5 and MRC, also while a run goes on."""
    state = checkpoint.load(run)
    directory = out or run
    directory.mkdir(parents=True, exist_ok=True)
    for path in export.write_intensity(state, directory):
        console.say(f"wrote {path}")


@app.command()
def poses(
    run: RunArgument,
    patterns: Annotated[
        Path | None, typer.Argument(help="Pattern file (default: the run's own).")
    ] = None,
    out: Annotated[Path, typer.Option(help="File of orientations to write.")] = Path("poses.h5"),
    encoder_only: Annotated[
        bool, typer.Option("--encoder-only", help="One network pass, no likelihood.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:N].")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Find the orientations of patterns, old or new, against a finished run."""
    found = infer.infer(run, patterns, out, encoder_only=encoder_only, device=device)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        console.say(f"wrote {found['patterns']:,.0f} orientations to {found['path']}")


def _report(summary: export.Summary, directory: Path, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary))
        return
    for name, value in summary.items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        console.out.print(f"  {name:40s} {shown}", highlight=False)
    console.say(f"intensity in {directory / 'intensity.mrc'}, poses in {directory / 'poses.h5'}")
