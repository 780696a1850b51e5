"""``xrai-sim convert``, as a function for typer."""

import dataclasses
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from xraisim import console, stopping
from xraisim.commands import options
from xraisim.core import config as configuration
from xraisim.core.json_text import to_json
from xraisim.files.lock import only_writer
from xraisim.files.outputs import claim
from xraisim.files.shards import Shard
from xraisim.formats.convert import convert
from xraisim.formats.experiment import ExperimentConfig
from xraisim.formats.registry import DETECTOR, FORMATS, open_source, recognise

_NAMES = ", ".join([*FORMATS, DETECTOR])


def convert_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="File to read.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.")],
    source_format: Annotated[
        str | None, typer.Option("--from", help="Format of IN; found by content if left out.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--to", help=f"Format of OUT, by default told by its name: {_NAMES}."),
    ] = None,
    diameter: Annotated[float | None, typer.Option(help="Particle diameter in Å.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Preset; see instruments.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(help=r"TOML file with \[beam] and \[detector]; the flags win over it."),
    ] = None,
    detector: Annotated[Path | None, typer.Option(help="Dragonfly detector (.h5, .dat).")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Path of the frames in an HDF5 or .npz file.")
    ] = None,
    shard: options.ShardName = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave a pattern file that is whole as it is.")
    ] = False,
    force: console.Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Convert pattern files from and to Dragonfly, CXI, skopi, HDF5 and NumPy stacks.

    Only photon counts are accepted. No orientations or other truth get into a pattern file.
    """
    part = options.part(shard, out)
    path = part.path(out)
    claim(path, [source, config, detector], replace=force or resume)
    settings = configuration.load(ExperimentConfig, config) if config else ExperimentConfig()
    if diameter is not None:
        settings = dataclasses.replace(settings, particle_diameter_angstrom=diameter)
    if instrument is not None:
        settings = dataclasses.replace(settings, instrument=instrument)
    total = _count(source, source_format, dataset, settings.mask_missing_modules, part)
    with (
        only_writer(path),
        _nothing_kept(path, part),
        console.progress("patterns", total) as advance,
    ):
        done = convert(
            source,
            out,
            source_format=source_format,
            target=target,
            config=settings,
            detector=detector,
            dataset=dataset,
            shard=part,
            resume=resume,
            progress=advance,
        )
    if as_json:
        typer.echo(to_json(dataclasses.asdict(done), indent=2))
        return
    table = Table(title="Converted", show_header=False)
    for name, value in dataclasses.asdict(done).items():
        if name != "notices" and value not in ("", None):
            table.add_row(name, f"{value:,}" if isinstance(value, int) else value)
    console.out.print(table)
    for notice in done.notices:
        console.say(notice)


def _nothing_kept(out: Path, part: Shard) -> AbstractContextManager[None]:
    more = ["--resume"] if part.total > 1 else []  # other shards may be whole
    return stopping.keeping(
        lambda: f"nothing is kept of {out}; convert anew with {stopping.again(*more)}"
    )


def _count(
    source: Path, name: str | None, dataset: str | None, mask_missing: bool, part: Shard
) -> int:
    """Return the number of patterns, for the progress bar."""
    if (name or recognise(source)) == DETECTOR:
        return 0
    with open_source(source, name, dataset, mask_missing) as opened:
        return len(part.patterns(opened.patterns))
