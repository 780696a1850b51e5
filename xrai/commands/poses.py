"""``xrai poses``, ``xrai export`` and ``xrai push``."""

import math
from pathlib import Path
from typing import Annotated

import typer

from xrai import export as exporting
from xrai import infer
from xrai.commands import options
from xrai.sources import push as pushing
from xrai.sources.seal import read_token
from xrai.state import checkpoint
from xraisim import console, stopping
from xraisim.core.json_text import to_json
from xraisim.core.processes import processes_of
from xraisim.files.lock import only_writer
from xraisim.files.outputs import claim
from xraisim.files.patterns import PatternReader
from xraisim.files.result import POSES


def export(
    run: options.Run,
    out: Annotated[Path | None, typer.Option(help="Directory (default: the run's).")] = None,
) -> None:
    """Write the intensity of the latest checkpoint as HDF5 and MRC, also while a run goes on."""
    state = checkpoint.load(run)
    directory = out or run
    directory.mkdir(parents=True, exist_ok=True)
    for path in exporting.write_intensity(state, directory):
        console.say(f"wrote {path}")


def poses(
    run: options.Run,
    patterns: Annotated[
        Path | None, typer.Argument(help="Pattern file (default: the run's own).")
    ] = None,
    out: Annotated[Path, typer.Option(help="File of orientations to write.")] = Path("poses.h5"),
    encoder_only: Annotated[
        bool, typer.Option("--encoder-only", help="One network pass, no likelihood.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:N].")] = "auto",
    force: console.Force = False,
    as_json: options.Json = False,
) -> None:
    """Find the orientations of patterns, old or new, against a finished run."""
    claim(out, [patterns, run / POSES], replace=force)
    tell = f"no poses are written, the run is as it was; begin again with {stopping.again()}"
    with (
        processes_of(device) as processes,
        only_writer(out, wanted=processes.is_leader),
        stopping.keeping(lambda: tell),
    ):
        found = infer.find_poses(
            run, patterns, out, encoder_only=encoder_only, device=device, processes=processes
        )
    if not processes.is_leader:
        return
    if as_json:
        typer.echo(to_json(found))
    else:
        console.say(f"wrote {found['patterns']:,.0f} orientations to {found['path']}")
        if found["without_photons"]:
            console.say(f"{found['without_photons']:,.0f} patterns have no photons: no orientation")


def push(
    patterns: Annotated[Path, typer.Argument(help="Pattern file to push.")],
    to: Annotated[str, typer.Option(help="Who listens: tcp://127.0.0.1:PORT.")],
    rate: Annotated[float, typer.Option(help="Patterns per second at most.")] = math.inf,
    first: Annotated[int, typer.Option(help="Number of the first pattern pushed.")] = 0,
    token_file: options.TokenFile = None,
) -> None:
    """Push patterns to `xrai train --listen` in another process, as a beamline would."""
    config = pushing.PushConfig(rate_per_s=rate, first=first, token=read_token(token_file))
    with PatternReader(patterns) as reader:
        total = max(reader.n_patterns - first, 0)
    with console.progress("pushed", total) as advance:
        sent = pushing.push(patterns, to, config, advance)
    console.say(f"pushed {sent:,} patterns")
