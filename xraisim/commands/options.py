"""Options that several commands share, and the configuration that they make."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from xraisim.core import config as configuration
from xraisim.core.errors import ConfigError
from xraisim.files.shards import Shard
from xraisim.simulation.config import SimulationConfig, from_mapping

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Structure = Annotated[str | None, typer.Option(help="Structure: a path or a PDB identifier.")]
Chains = Annotated[str | None, typer.Option(help="Chains to keep, such as 'B*,C'.")]
Assembly = Annotated[str | None, typer.Option(help="Biological assembly, such as 1.")]
Instrument = Annotated[str | None, typer.Option(help="Preset; see instruments.")]
Resolution = Annotated[float | None, typer.Option(help="Keep pixels to this resolution d in Å.")]
Structures = Annotated[Path | None, typer.Option(help="Directory to look for structures in first.")]
Settings = Annotated[
    Path | None, typer.Option(help="TOML file with any of the settings; flags win over it.")
]
ShardName = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="Make part k of n, as 3/8; readers take all parts as one. Under torchrun or srun "
        "every process makes its own.",
    ),
]


def part(shard: str | None, whole: Path) -> Shard:
    """Return the shard of ``whole`` that is asked for, or else that of this process among all.

    Raises :class:`ConfigError` where ``whole`` itself is there, which readers would take.
    """
    found = Shard.of_process(os.environ) if shard is None else Shard.parse(shard)
    if found.total > 1 and whole.exists():
        raise ConfigError(
            f"{whole} is there already, and would be read in place of its shards; remove it, or "
            "write elsewhere"
        )
    return found


def settings(
    config: Path | None, flags: dict[str, Any], resolution: float | None
) -> SimulationConfig:
    """Return the configuration of a TOML file, if any, with the flags that were given over it."""
    mapping = configuration.read_toml(config) if config else {}
    mapping |= {key: value for key, value in flags.items() if value is not None}
    if resolution is not None:
        if not resolution > 0:
            raise ConfigError(f"--resolution is {resolution}; it is a distance in Å above zero")
        mapping["detector"] = {**mapping.get("detector", {}), "s_max_per_angstrom": 1 / resolution}
    return from_mapping(mapping)


_PLACED = {"layout", "rows", "columns", "pixel_size_mm", "distance_mm", "panels", "geometry_file"}


def distance_is_free(config: Path | None, instrument: str | None) -> bool:
    """Whether nobody said where the detector is: no preset is named, no pixel placed or sized."""
    mapping = configuration.read_toml(config) if config else {}
    named = instrument is not None or "instrument" in mapping
    return not named and not _PLACED & mapping.get("detector", {}).keys()


def key_value_table(values: dict[str, Any], title: str) -> Table:
    """Return a table of names and values."""
    table = Table(title=title, show_header=False)
    for key, value in values.items():
        table.add_row(key, _text(value))
    return table


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " … ".join(_text(item) for item in value)
    return f"{value:,.5g}" if isinstance(value, float) else str(value)
