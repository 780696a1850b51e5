"""``xrai-baseline classify`` and ``select``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from baselines.classify import ClassifyConfig, classify
from baselines.classify.selection import select, write_selected
from xraisim.console import Force, out, progress, say
from xraisim.core.config import given_or_default
from xraisim.core.processes import processes_of
from xraisim.files.outputs import claim
from xraisim.files.result import Result
from xraisim.files.result import as_json as as_json_text

_BRIGHTEST = "Leave out patterns above this many median fluences, such as 1.5: several particles."
_KEEP = "Classes to keep: numbers such as 1,3, or auto for those taken for particles."


def classify_command(
    patterns: Annotated[Path, typer.Argument(help="Pattern file.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Directory for the results.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    classes: Annotated[int | None, typer.Option(help="Classes besides the blanks.")] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", "--select", help=_KEEP + " Writes OUT/selection.h5.")
    ] = None,
    brightest: Annotated[float | None, typer.Option(help=_BRIGHTEST)] = None,
    restarts: Annotated[int | None, typer.Option(help="Random starts.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the random starts.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run was interrupted.")
    ] = False,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Sort patterns into classes with averages on the detector, to select single hits."""
    given = {"classes": classes, "restarts": restarts, "device": device, "seed": seed}
    settings = given_or_default(ClassifyConfig, config, given)
    claim(out_dir, replace=force or resume, advice="go on with --resume, ")
    total = settings.restarts * settings.iterations
    with (
        processes_of(settings.device) as processes,
        progress("iterations", total, shown=processes.is_leader) as advance,
    ):
        done = classify(
            patterns, out_dir, settings, resume=resume, progress=advance, processes=processes
        )
    if not processes.is_leader:
        return
    if as_json:
        out.print_json(as_json_text(done))
    else:
        out.print(_table(done))
        say(f"averages in {out_dir / 'averages.png'}, classes in {out_dir / 'classes.h5'}")
    if keep is not None:
        _select(out_dir, keep, out_dir / "selection.h5", brightest)


def select_command(
    run: Annotated[Path, typer.Argument(help="Run directory of `xrai-baseline classify`.")],
    keep: Annotated[str, typer.Option("--keep", "--classes", help=_KEEP)],
    out_file: Annotated[Path, typer.Option("--out", help="Selection file to write.")],
    brightest: Annotated[float | None, typer.Option(help=_BRIGHTEST)] = None,
    patterns_file: Annotated[
        Path | None,
        typer.Option("--write", help="Also write the selected patterns as a file of their own."),
    ] = None,
    patterns: Annotated[
        Path | None, typer.Option(help="The classified pattern file, if it was moved since.")
    ] = None,
    force: Force = False,
) -> None:
    """Write the numbers of the patterns that belong to some classes, or those patterns."""
    claim(out_file, [patterns], replace=force)
    if patterns_file is not None:
        claim(patterns_file, [patterns, out_file], replace=force)
    _select(run, keep, out_file, brightest)
    if patterns_file is not None:
        count = write_selected(out_file, patterns_file, patterns)
        say(f"{count:,} patterns written to {patterns_file}")


def _select(run: Path, keep: str, path: Path, brightest: float | None) -> None:
    say(f"{select(run, keep, path, brightest):,} patterns selected in {path}")


def _table(done: Result) -> Table:
    table = Table(title=f"{done.patterns:,} patterns to {done.d_min_angstrom:.1f} Å")
    for name in (
        "class", "taken for", "patterns", "share", "photons", "fluence", "contrast",
        "structure\n(nats)", "of noise", "locked", "nats per\nphoton",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name == "taken for" else "right", no_wrap=True)
    for row in done.figures["classes"]:
        figures = (
            (row.photons, ",.0f"), (row.fluence, ".2f"), (row.contrast, ".2f"),
            (row.structure, ".1f"), (row.noise, ".1f"), (row.locked, ".2f"),
            (row.log_likelihood_per_photon, ".3f"),
        )  # fmt: skip
        table.add_row(
            str(row.number),
            row.kind,
            f"{row.patterns:,}",
            f"{100 * row.share:.1f} %",
            *("–" if value is None else format(value, spec) for value, spec in figures),
        )
    return table
