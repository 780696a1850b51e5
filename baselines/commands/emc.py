"""``xrai-baseline emc``."""

from pathlib import Path
from typing import Annotated

import typer

from baselines.classify.selection import read_selection
from baselines.emc import EmcConfig, reconstruct
from xraisim.console import Force, conclude, out, progress
from xraisim.core.config import given_or_default
from xraisim.core.processes import processes_of
from xraisim.files.outputs import claim
from xraisim.files.result import INTENSITY
from xraisim.files.result import as_json as as_json_text


def emc(
    patterns: Annotated[Path, typer.Argument(help="Pattern file.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Directory for the results.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of EMC settings.")] = None,
    d_min: float | None = typer.Option(None, help="Go no further than this many Å."),
    restarts: int | None = typer.Option(None, help="Random starts."),
    symmetry: str | None = typer.Option(None, help="Point group of the particle, such as C4 or I."),
    halves: bool | None = typer.Option(
        None, "--halves", help="Two half-sets: resolution without truth."
    ),
    selection: Annotated[
        Path | None, typer.Option(help="Use only these patterns: a file of `xrai-baseline select`.")
    ] = None,
    device: str | None = typer.Option(None, help="cpu, cuda or auto."),
    seed: int | None = typer.Option(None, help="Seed of the random starts."),
    resume: bool = typer.Option(False, "--resume", help="Go on where a run was interrupted."),
    force: Force = False,
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Find orientations and intensity by expand-maximize-compress (EMC)."""
    given = {
        "d_min_angstrom": d_min,
        "restarts": restarts,
        "symmetry": symmetry,
        "halves": halves,
        "device": device,
        "seed": seed,
    }
    settings = given_or_default(EmcConfig, config, given)
    claim(out_dir, replace=force or resume, advice="go on with --resume, ")
    chosen = None if selection is None else read_selection(selection, patterns)
    with processes_of(settings.device) as processes:
        shown = processes.is_leader
        with progress("EMC iterations", settings.iterations, shown=shown) as advance:
            done = reconstruct(
                patterns, out_dir, settings, chosen=chosen, resume=resume, progress=advance,
                processes=processes,
            )  # fmt: skip
    if not processes.is_leader:
        return
    if as_json:
        out.print_json(as_json_text(done))
        return
    conclude(
        done.rows(),
        f"xrai-baseline report {out_dir} --patterns {patterns}",
        f"xrai-baseline phase {out_dir / INTENSITY} --out {out_dir / 'phasing'}",
    )
