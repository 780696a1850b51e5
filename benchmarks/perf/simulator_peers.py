"""Our simulator beside others: same structure, detector and photon count, same cores, one table.

``python -m benchmarks.perf.simulator_peers --dragonfly BIN --structures DIR --out runs/peers``,
where BIN holds the executables of an environment with dragonfly-spi (or set DRAGONFLY_BIN).

Every figure is of a whole command, its file included. Programs take turns; each makes two numbers
of patterns in turn, and the rate is the slope between them, so that start, structure and volume
(the set-up) do not count as drawing. The median of the repeats is given with the extremes. A
program that is not given is quoted from an earlier measurement, and marked so.
"""

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any

from benchmarks.perf import peer_figures, perf_record
from benchmarks.perf.dragonfly_peer import Dragonfly
from benchmarks.perf.our_simulator import MakeRun, run_make, settings
from benchmarks.perf.peer_figures import Peer
from xraisim import console
from xraisim.detector import Geometry, geometry
from xraisim.locate import locate
from xraisim.make import SimulationConfig, from_mapping
from xraisim.structure import Atoms, read_atoms

_QUOTED = "quoted: measured earlier, two cores of a shared x86 with AVX-512"
DRAGONFLY = Peer(
    name="Dragonfly make_data",
    version="0.1.0",
    pixels=22_500,
    patterns_per_s=1270.0,
    slowest=1050.0,
    fastest=1490.0,
    setup_s=4.0,
    photons_per_pattern=896.0,
    remark=f"{_QUOTED}; 4BED, middle of the range",
)
OTHERS = (
    Peer(
        name="skopi (NumPy)",
        version="",
        pixels=128**2,
        patterns_per_s=162.0,
        setup_s=229.0,
        remark=f"{_QUOTED}; 2,451 atoms, 151³ voxels, per second of one core",
    ),
    Peer(
        name="Condor",
        version="1.0.7",
        pixels=128**2,
        patterns_per_s=2.4,
        remark=f"{_QUOTED}; 2,452 atoms (552,920 atoms: 93 s per pattern)",
    ),
)


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, measure and return the record."""
    record = perf_record.circumstances()
    config = from_mapping(settings(options.structure, 1))
    atoms = read_atoms(locate(options.structure, directory=options.structures))
    seen = geometry(config.detector, config.beam)

    def ours(patterns: int) -> MakeRun:
        return run_make(
            settings(options.structure, patterns),
            options.out / "ours",
            structures=options.structures,
            threads=options.threads,
        )

    console.say("ours, once to compile its kernels and to count its photons")
    photons = ours(options.ours[0]).photons_per_pattern
    programs: dict[str, Any] = {"ours": (ours, options.ours)}
    mean_photons = {"ours": photons}
    if options.dragonfly:
        theirs, before_s, expected = prepare_dragonfly(options, config, atoms, seen)
        mean_photons |= expected
        programs["dragonfly"] = lambda n: theirs.make(n, photons), options.dragonfly_patterns
    pairs = peer_figures.take_turns(programs, options.repeats)
    pixels, version = len(seen.good), record["versions"]["x-rai"]
    peers = [peer_figures.peer(pairs["ours"], name="xrai-sim make", version=version, pixels=pixels)]
    if options.dragonfly:
        peers.append(
            peer_figures.peer(
                pairs["dragonfly"],
                name=DRAGONFLY.name,
                version=theirs.version,
                pixels=pixels,
                before_s=before_s,
                remark=f"{theirs.grid}³ voxels",
            )
        )
    else:
        peers.append(DRAGONFLY)
    return record | {
        "structure": options.structure,
        "atoms": len(atoms),
        "threads": options.threads,
        "mean_photons_at_this_fluence": mean_photons,
        "runs": {
            name: [[dataclasses.asdict(run) for run in pair] for pair in found]
            for name, found in pairs.items()
        },
        "peers": [dataclasses.asdict(row) for row in (*peers, *OTHERS)],
    }


def prepare_dragonfly(
    options: argparse.Namespace, config: SimulationConfig, atoms: Atoms, seen: Geometry
) -> tuple[Dragonfly, float, dict[str, float]]:
    """Return Dragonfly at its own grid, its preparation in s, and its photons on two grids.

    The finer grid tells how much of a difference in photons is its interpolation.
    """
    prepared, seconds, photons = {}, {}, {}
    for voxels in (1, 2):
        console.say(f"Dragonfly's volume, voxels per pixel: {voxels}")
        prepared[voxels] = Dragonfly(
            options.dragonfly,
            options.out / f"dragonfly-{voxels}",
            beam=config.beam,
            detector=config.detector,
            threads=options.threads,
            voxels_per_pixel=voxels,
        )
        seconds[voxels] = prepared[voxels].prepare(atoms, seen)
        name = f"Dragonfly, {prepared[voxels].grid}³ voxels"
        photons[name] = prepared[voxels].photons_at_fluence()
    return prepared[1], seconds[1], photons


def show(record: dict[str, Any]) -> None:
    """Print the table and the comparison of photons."""
    peers = [Peer(**row) for row in record["peers"]]
    title = f"{record['structure']}, {peers[0].pixels:,} pixels, {record['threads']} threads"
    console.out.print(peer_figures.table(peers, perf_record.heading(title, record)))
    ours = record["mean_photons_at_this_fluence"]["ours"]
    for name, photons in record["mean_photons_at_this_fluence"].items():
        console.out.print(
            f"photons per pattern at the same fluence, {name}: {photons:,.1f} "
            f"({photons / ours - 1:+.1%})"
        )
    ratio = peers[0].pixels_per_s / peers[1].pixels_per_s
    console.out.print(f"ours makes {ratio:.1f} times as many pixels per second as {peers[1].name}")


def _options() -> argparse.Namespace:
    given = os.environ.get("DRAGONFLY_BIN")
    parser = argparse.ArgumentParser(description="Our simulator beside others.")
    parser.add_argument("--structure", default="4v6x", help="a path or an identifier")
    parser.add_argument("--structures", type=Path, help="directory to look for it in first")
    parser.add_argument(
        "--dragonfly",
        type=Path,
        default=Path(given) if given else None,
        help="directory of Dragonfly's executables; without it, it is quoted",
    )
    parser.add_argument("--ours", type=int, nargs=2, default=[20_000, 220_000], metavar="N")
    parser.add_argument(
        "--dragonfly-patterns", type=int, nargs=2, default=[2_000, 22_000], metavar="N"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/peers"), help="scratch directory")
    return parser.parse_args()


def main() -> None:
    """Measure, write ``peers.json`` and print the table."""
    options = _options()
    record = compare(options)
    perf_record.write(options.out / "peers.json", record)
    show(record)
    console.out.print(f"record: {options.out / 'peers.json'}")


if __name__ == "__main__":
    main()
