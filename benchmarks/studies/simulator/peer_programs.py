"""The simulators of the comparison, made ready to run; and those quoted where they are not run."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.studies.simulator.dragonfly_peer import Dragonfly
from benchmarks.studies.simulator.our_simulator import MakeRun, run_make, settings
from benchmarks.studies.simulator.peer_figures import Peer, PeerRun
from benchmarks.studies.simulator.skopi_peer import GRID, Skopi
from xraisim import console
from xraisim.instrument.detector import Geometry
from xraisim.sample.structure import Atoms
from xraisim.simulation.config import SimulationConfig

_QUOTED = "quoted: measured earlier, two cores of a shared x86 with AVX-512"
DRAGONFLY, SKOPI = "Dragonfly make_data", "skopi (NumPy)"
QUOTED = (
    Peer(
        name=DRAGONFLY,
        version="0.1.0",
        pixels=22_500,
        patterns_per_s=1270.0,
        slowest=1050.0,
        fastest=1490.0,
        setup_s=4.0,
        photons_per_pattern=896.0,
        remark=f"{_QUOTED}; 4BED, middle of the range",
    ),
    Peer(
        name=SKOPI,
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


@dataclass(frozen=True, kw_only=True)
class Program:
    """A simulator that is ready to run, and what the table says of it."""

    name: str
    version: str
    run: Callable[[int], PeerRun]
    sizes: Sequence[int]
    before_s: float = 0.0
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all of them simulate, and where their files go while they do."""

    options: argparse.Namespace
    config: SimulationConfig
    atoms: Atoms
    seen: Geometry

    def setting(self, folder: str) -> dict[str, Any]:
        """Return the arguments that the peers share."""
        return {
            "folder": self.options.out / folder,
            "beam": self.config.beam,
            "detector": self.config.detector,
            "threads": self.options.threads,
        }


def our_program(task: Task, version: str) -> Program:
    """Return ``xrai-sim make``."""
    options = task.options

    def run(patterns: int) -> MakeRun:
        return run_make(
            settings(options.structure, patterns),
            options.out / "ours",
            structures=options.structures,
            threads=options.threads,
        )

    return Program(name="xrai-sim make", version=version, run=run, sizes=options.ours)


def dragonfly_program(task: Task, photons: float) -> tuple[Program, dict[str, float]]:
    """Return Dragonfly scaled to ``photons`` per pattern, and its own photons on two grids.

    The finer grid tells how much of a difference in photons is its interpolation.
    """
    peers, seconds, expected = {}, {}, {}
    for voxels in (1, 2):
        console.say(f"Dragonfly's volume, voxels per pixel: {voxels}")
        setting = task.setting(f"dragonfly-{voxels}")
        peer = Dragonfly(task.options.dragonfly, voxels_per_pixel=voxels, **setting)
        seconds[voxels], peers[voxels] = peer.prepare(task.atoms, task.seen), peer
        expected[f"{DRAGONFLY}, {peer.grid}³ voxels"] = peer.photons_at_fluence()
    own = peers[1]
    program = Program(
        name=DRAGONFLY,
        version=own.version,
        run=lambda patterns: own.make(patterns, photons),
        sizes=task.options.dragonfly_patterns,
        before_s=seconds[1],
        remark=f"{own.grid}³ voxels, trilinear; scaled to our photons",
    )
    return program, expected


def skopi_program(task: Task) -> Program:
    """Return skopi with our amplitudes."""
    peer = Skopi(task.options.skopi, **task.setting("skopi"))
    peer.prepare(task.atoms, task.seen)
    return Program(
        name=SKOPI,
        version=peer.version,
        run=peer.make,
        sizes=task.options.skopi_patterns,
        remark=f"{GRID}³ amplitudes given to it (its own need CUDA); dense file",
    )
