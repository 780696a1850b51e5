"""How fast patterns come out of every kind of source, with nothing done with them.

``python -m benchmarks.studies.stream.rate --out runs/stream`` makes the patterns of the task
`quick` there, reads them from a file (first out of the page cache), from shards, from a file that
another process is writing, from the simulator in memory and from another process over a socket, and
writes ``stream_rate.json``. Rates by the clock include whoever writes or pushes; processor time is
the reader's alone.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import zmq
from rich.table import Table

from benchmarks.studies.common import study_record
from benchmarks.studies.common.stages import simulated
from benchmarks.task import load_task
from xrai.sources.config import SourceConfig
from xrai.sources.follow import FollowedFiles
from xrai.sources.link import Link
from xrai.sources.push import PushConfig, push
from xrai.sources.pushed import PushedPatterns
from xrai.sources.stream import PatternStream
from xraisim import console
from xraisim.files.patterns import PatternReader, PatternWriter
from xraisim.files.shards import Shard
from xraisim.instrument.detector import geometry
from xraisim.simulation.config import SimulationConfig
from xraisim.simulation.stream import SimulatedPatterns, stream

_SHARDS, _APPENDED, _DRAWN = 4, 1024, 4096
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One source read once; medians over the repeats."""

    source: str
    patterns: int
    photons: int
    wall_s: float
    cpu_s: float

    @property
    def figures(self) -> dict[str, float]:
        """Patterns and photons per second by the clock, and patterns per second of processor."""
        return {
            "patterns_per_s": self.patterns / self.wall_s,
            "photons_per_s": self.photons / self.wall_s,
            "patterns_per_cpu_s": self.patterns / max(self.cpu_s, 1e-9),
        }


def read_through(name: str, source: Any, options: argparse.Namespace) -> Rate:
    """Read a source once, from when its first pattern is there; nothing is kept in memory."""
    patterns = photons = 0
    with PatternStream(source, options.block, 0.0, options.read_ahead) as blocks:
        began, cpu = time.perf_counter(), time.process_time()
        stop = _DRAWN if isinstance(source, SimulatedPatterns) else None
        for _, block in blocks.blocks(0, stop):
            patterns, photons = patterns + len(block), photons + int(block.count.sum())
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return Rate(source=name, patterns=patterns, photons=photons, wall_s=wall_s, cpu_s=cpu_s)


def copy(path: Path, config: SimulationConfig, out: Path, rows: range) -> None:
    """Write some patterns of a file to another, as fast as they go."""
    with (
        PatternReader(path) as reader,
        PatternWriter(
            out,
            detector=geometry(config.detector, config.beam),
            beam=config.beam,
            background=0.0,
            particle_diameter_angstrom=reader.info["particle_diameter_angstrom"],
            provenance={"commitment": reader.info["provenance"]["commitment"]},
        ) as writer,
    ):
        for start in range(rows.start, rows.stop, _APPENDED):
            writer.append(reader.read_raw(start, min(start + _APPENDED, rows.stop)))


@contextmanager
def beside(function: Callable[..., object], *arguments: object) -> Iterator[None]:
    """Run a function in a process of its own."""
    process = _SPAWN.Process(target=function, args=arguments)
    process.start()
    try:
        yield
        process.join()
    finally:
        process.kill()


def forget_pages(path: Path) -> None:
    """Ask the system to drop a file from its page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def followed(path: Path, config: SimulationConfig, options: argparse.Namespace) -> Rate:
    """Read a file while another process writes it."""
    out = options.out / "followed.h5"
    out.unlink(missing_ok=True)
    with PatternReader(path) as reader:
        rows = range(reader.n_patterns)
    with beside(copy, path, config, out, rows):
        return read_through("follow", FollowedFiles(out, SourceConfig(poll_s=0.01)), options)


def pushed(path: Path, options: argparse.Namespace) -> Rate:
    """Read what another process pushes over a socket."""
    link = Link(zmq.PULL, "tcp://127.0.0.1:*")
    with beside(push, path, link.address, PushConfig()):
        return read_through("socket", PushedPatterns(link, SourceConfig()), options)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Make the patterns and read them from every source; return the record."""
    record: dict[str, Any] = study_record.circumstances()
    config = replace(load_task("quick").simulate, patterns=options.patterns)
    path = simulated(config, options.out / f"quick-{options.patterns}.h5")
    shards = options.out / f"parts-{options.patterns}.h5"
    for k in range(1, _SHARDS + 1):
        part = Shard(k, _SHARDS)
        copy(path, config, part.path(shards), part.patterns(options.patterns))
    drawn = stream(config)
    drawn.read(0, 1)  # compiles the kernels

    def cold() -> Path:
        forget_pages(path)
        return path

    ways: dict[str, Callable[[], Rate]] = {
        "file, cold": lambda: read_through("file, cold", cold(), options),
        "file, warm": lambda: read_through("file, warm", path, options),
        "shards": lambda: read_through("shards", shards, options),
        "follow": lambda: followed(path, config, options),
        "simulator": lambda: read_through("simulator", drawn, options),
        "socket": lambda: pushed(path, options),
    }
    rows = []
    for name, way in ways.items():
        console.say(name)
        rows.append(_median([way() for _ in range(options.repeats)]))
    record["settings"] = {
        "block": options.block,
        "read_ahead_blocks": options.read_ahead,
        "repeats": options.repeats,
    }
    record["rows"] = [asdict(row) | row.figures for row in rows]
    return record


def _median(runs: list[Rate]) -> Rate:
    first = runs[0]
    return Rate(
        source=first.source,
        patterns=first.patterns,
        photons=first.photons,
        wall_s=statistics.median(run.wall_s for run in runs),
        cpu_s=statistics.median(run.cpu_s for run in runs),
    )


def table(record: dict[str, Any]) -> Table:
    """Return the record as a table, one line per source."""
    title = study_record.heading("Patterns read, task quick", record)
    names = ("source", "patterns", "per s", "photons per s", "per s of processor")
    rows = (
        (
            row["source"],
            f"{row['patterns']:,}",
            f"{row['patterns_per_s']:,.0f}",
            f"{row['photons_per_s']:,.3g}",
            f"{row['patterns_per_cpu_s']:,.0f}",
        )
        for row in record["rows"]
    )
    return study_record.table(title, names, rows)


def main() -> None:
    """Measure, write ``stream_rate.json`` and print the table."""
    parser = study_record.parser(__doc__, "runs/stream")
    parser.add_argument("--patterns", type=int, default=8000)
    parser.add_argument("--block", type=int, default=2048)
    parser.add_argument("--read-ahead", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    record = measure(options)
    study_record.conclude(options.out / "stream_rate.json", record, table(record))


if __name__ == "__main__":
    main()
