"""Our simulator beside others: same structure, detector and photon count, same cores, one table.

``python -m benchmarks.studies.simulator.peers --dragonfly BIN --structures DIR --out runs/peers``,
where BIN holds the executables of an environment with dragonfly-spi (or set XRAI_DRAGONFLY_BIN);
``--skopi PYTHON`` adds skopi.

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

from baselines.external.dragonfly.program import BIN_VARIABLE
from benchmarks.studies.common import study_record
from benchmarks.studies.simulator import peer_figures
from benchmarks.studies.simulator.our_simulator import settings
from benchmarks.studies.simulator.peer_figures import Peer
from benchmarks.studies.simulator.peer_programs import (
    QUOTED,
    SKOPI,
    Program,
    Task,
    dragonfly_program,
    our_program,
    skopi_program,
)
from xraisim import console
from xraisim.instrument.detector import geometry
from xraisim.sample.locate import locate
from xraisim.sample.structure import read_atoms
from xraisim.simulation.config import from_mapping


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, measure and return the record."""
    record = study_record.circumstances()
    config = from_mapping(settings(options.structure, 1))
    atoms = read_atoms(locate(options.structure, directory=options.structures))
    seen = geometry(config.detector, config.beam)
    task = Task(options=options, config=config, atoms=atoms, seen=seen)
    programs, at_same_fluence = prepare(task, record["versions"]["x-rai"])
    turns = {program.name: (program.run, program.sizes) for program in programs}
    pairs = peer_figures.take_turns(turns, options.repeats)
    peers = [
        peer_figures.peer(
            pairs[program.name],
            name=program.name,
            version=program.version,
            pixels=len(seen.good),
            before_s=program.before_s,
            remark=program.remark,
        )
        for program in programs
    ]
    measured = {row.name: row for row in peers}
    if SKOPI in measured:
        at_same_fluence[SKOPI] = measured[SKOPI].photons_per_pattern or 0.0
    peers += [row for row in QUOTED if row.name not in measured]
    return record | {
        "structure": options.structure,
        "atoms": len(atoms),
        "threads": options.threads,
        "photons_at_same_fluence": at_same_fluence,
        "runs": {
            name: [[dict(vars(run)) for run in pair] for pair in found]
            for name, found in pairs.items()
        },
        "peers": [dataclasses.asdict(row) for row in peers],
    }


def prepare(task: Task, version: str) -> tuple[list[Program], dict[str, float]]:
    """Return the programs to run, ours first, and the photons that some expect at our fluence."""
    ours = our_program(task, version)
    console.say("ours, once to compile its kernels and to count its photons")
    photons = ours.run(task.options.ours[0]).photons_per_pattern
    programs, at_same_fluence = [ours], {ours.name: photons}
    if task.options.dragonfly:
        program, expected = dragonfly_program(task, photons)
        programs.append(program)
        at_same_fluence |= expected
    if task.options.skopi:
        programs.append(skopi_program(task))
    return programs, at_same_fluence


def photons_said(record: dict[str, Any]) -> list[str]:
    """Return lines about the photons at the same fluence, and how much faster ours is."""
    ours, other, *_ = (Peer(**row) for row in record["peers"])
    at_fluence = record["photons_at_same_fluence"]
    lines = [
        f"photons per pattern at the same fluence, {name}: {photons:,.1f} "
        f"({photons / at_fluence[ours.name] - 1:+.1%})"
        for name, photons in at_fluence.items()
    ]
    ratio = ours.pixels_per_s / other.pixels_per_s
    return [*lines, f"ours makes {ratio:.1f} times as many pixels per second as {other.name}"]


def _options() -> argparse.Namespace:
    given = os.environ.get(BIN_VARIABLE)
    parser = study_record.parser(__doc__, "runs/peers")
    parser.add_argument("--structure", default="4v6x", help="a path or an identifier")
    parser.add_argument("--structures", type=Path, help="directory to look for it in first")
    parser.add_argument(
        "--dragonfly",
        type=Path,
        default=Path(given) if given else None,
        help="directory of Dragonfly's executables; without it, it is quoted",
    )
    parser.add_argument(
        "--skopi", type=Path, help="a Python that has skopi; without it, it is quoted"
    )
    parser.add_argument("--skopi-patterns", type=int, nargs=2, default=[100, 900], metavar="N")
    parser.add_argument("--ours", type=int, nargs=2, default=[20_000, 220_000], metavar="N")
    parser.add_argument(
        "--dragonfly-patterns", type=int, nargs=2, default=[2_000, 22_000], metavar="N"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Measure, write ``peers.json`` and print the table."""
    options = _options()
    record = compare(options)
    peers = [Peer(**row) for row in record["peers"]]
    title = f"{record['structure']}, {peers[0].pixels:,} pixels, {record['threads']} threads"
    table = peer_figures.table(peers, study_record.heading(title, record))
    study_record.conclude(options.out / "peers.json", record, table)
    for line in photons_said(record):
        console.out.print(line)


if __name__ == "__main__":
    main()
