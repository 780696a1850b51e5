"""``xrai-sim inspect``, ``validate`` and ``instruments``."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from xraisim import console
from xraisim.checks.validate import Finding, failed, listing, validate
from xraisim.commands import options
from xraisim.core.json_text import to_json
from xraisim.files.outputs import claim_picture
from xraisim.files.patterns import PatternReader
from xraisim.inspection.inspect import inspect
from xraisim.instrument.presets import PRESETS, describe

_SAMPLED = 100_000

PatternFile = Annotated[Path, typer.Argument(help="A pattern file.")]


def inspect_command(
    patterns: PatternFile,
    png: Annotated[Path | None, typer.Option(help="Picture to write.")] = None,
    html: Annotated[Path | None, typer.Option(help="Page to write, one file.")] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Print the figures of a pattern file and write a picture of it (by default beside it).

    At most 100,000 patterns are read, spread evenly over the file.
    """
    picture = png or (None if html else patterns.with_suffix(".png"))
    for path in filter(None, (picture, html)):
        claim_picture(path, [patterns])
    with PatternReader(patterns) as reader:
        total = min(reader.n_patterns, _SAMPLED)
    with console.progress("patterns", total) as advance:
        found = inspect(patterns, picture, page=html, most=_SAMPLED, progress=advance)
    written = {name: str(path) for name, path in (("picture", picture), ("page", html)) if path}
    figures = {**dataclasses.asdict(found), **written}
    if as_json:
        typer.echo(to_json(figures, indent=2))
    else:
        console.out.print(options.key_value_table(figures, "Pattern file"))


def validate_command(
    patterns: Annotated[Path | None, typer.Argument(help="A pattern file.")] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the checks.")] = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Check a pattern file; the exit code is 1 if a check fails, warnings not counted."""
    if show_list:
        table = Table("check", "severity", "what it asks")
        for check in listing():
            table.add_row(check.name, check.severity, check.title)
        console.out.print(table)
        return
    if patterns is None:
        raise typer.BadParameter("give a pattern file, or --list")
    with PatternReader(patterns) as reader:
        files, total = reader.files, reader.n_patterns
    with console.progress("patterns", total) as advance:
        findings = {str(path): validate(path, advance) for path in files}
    if as_json:
        rows = {p: [dataclasses.asdict(f) for f in found] for p, found in findings.items()}
        typer.echo(to_json(rows if len(files) > 1 else next(iter(rows.values())), indent=2))
    else:
        for path, found in findings.items():
            if len(files) > 1:
                console.out.print(path, highlight=False)
            _print_findings(found)
    if any(failed(found) for found in findings.values()):
        raise typer.Exit(1)


def _print_findings(findings: list[Finding]) -> None:
    for finding in findings:
        console.out.print(Text.assemble(_verdict(finding), f"  {finding.name}: {finding.title}"))
        for problem in finding.problems:
            console.out.print(f"        {problem}", highlight=False)


def _verdict(finding: Finding) -> tuple[str, str]:
    """Return the outcome of a check and its style."""
    if not finding.ran:
        return "not run", "dim"
    if not finding.problems:
        return "passed", "green"
    return ("failed", "red") if finding.failed else ("warning", "yellow")


def instruments_command(as_json: options.JsonFlag = False) -> None:
    """List the instrument presets."""
    if as_json:
        presets = {name: dataclasses.asdict(preset) for name, preset in PRESETS.items()}
        typer.echo(to_json(presets, indent=2))
        return
    table = Table("name", "beam", "detector", "source")
    for name, preset in PRESETS.items():
        table.add_row(
            name,
            f"{preset.beam.photon_energy_ev:g} eV, "
            f"{preset.beam.fluence_photons_per_um2:.3g} photons/µm²",
            describe(preset.detector),
            preset.source,
        )
    console.out.print(table)
