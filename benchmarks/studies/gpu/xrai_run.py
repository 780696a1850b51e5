"""What the two X-RAI experiments share: patterns drawn on the device, a run, and its record."""

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.studies.common import study_record
from benchmarks.studies.common.stages import rounds
from benchmarks.studies.gpu.xrai_steps import Block, differences, measure, measure_peaks
from benchmarks.task import load_task
from xrai.config import TrainConfig
from xrai.train import reconstruct
from xraisim.core import machine, so3
from xraisim.core.config import read_toml
from xraisim.core.merge import intensity_grid, resample
from xraisim.core.types import PatternSource, Photons
from xraisim.files.volumes import read_volume
from xraisim.simulation.config import SimulationConfig, from_mapping
from xraisim.simulation.stream import stream

_SEED = 1
_RESOLUTIONS = (60.0, 50.0, 40.0, 30.0, 25.0, 20.0, 18.0, 16.0, 14.0, 12.0)  # Å


class TimedSource:
    """Patterns of another source, with the ``seconds`` spent in drawing them."""

    def __init__(self, source: PatternSource) -> None:
        self.path, self.n_patterns = source.path, source.n_patterns
        self.pixels, self.info = source.pixels, source.info
        self._source, self.seconds = source, 0.0

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` as numbers into ``pixels``."""
        began = time.perf_counter()
        photons = self._source.read(start, stop)
        self.seconds += time.perf_counter() - began
        return photons

    def close(self) -> None:
        """Give back what the other holds open."""
        self._source.close()


def options(summary: str, patterns: int) -> argparse.ArgumentParser:
    """Return the command line that the experiments share."""
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--mode", default="hybrid", help="hybrid or amortised")
    parser.add_argument("--patterns", type=int, default=patterns)
    parser.add_argument("--simulate", type=Path, help="TOML of xrai-sim make; default: 50S, 128²")
    parser.add_argument("--resolution", type=float, default=11.0, help="kept to, Å, by default")
    parser.add_argument("--out", type=Path, required=True, help="a new run directory")
    parser.add_argument("--record", type=Path, required=True, help="a JSON file")
    return parser


def source(arguments: argparse.Namespace, patterns: int) -> TimedSource:
    """Return simulated patterns, drawn on the device when they are read."""
    engine = "cuda" if arguments.device.startswith("cuda") else "cpu"
    if arguments.simulate is None:
        wanted = load_task("quick").simulate
        kept = dataclasses.replace(wanted.detector, s_max_per_angstrom=1 / arguments.resolution)
        wanted = dataclasses.replace(wanted, detector=kept)
    else:
        wanted = from_mapping(read_toml(arguments.simulate))
    config: SimulationConfig = dataclasses.replace(
        wanted, patterns=patterns, engine=engine, seed=_SEED
    )
    return TimedSource(stream(config))


def run(patterns: TimedSource, directory: Path, config: TrainConfig) -> dict[str, Any]:
    """Train on ``patterns``; return its result, the rounds and when each resolution was reached.

    ``elapsed_s`` counts from the start of the training; the set-up of the simulation is not in it.
    """
    found = reconstruct(patterns, directory, config, quiet=True)
    noted = rounds(directory)
    return {
        "result": dataclasses.asdict(found),
        "drawing_s": patterns.seconds,
        "rounds": noted,
        "time_to_resolution": time_to_resolution(noted),
    }


def time_to_resolution(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each resolution reached by the half-sets, the first round that did."""
    found = []
    for wanted in _RESOLUTIONS:
        for line in rounds:
            reached = line.get("icc_half_0.143_angstrom")
            if reached is not None and reached <= wanted:
                found.append(
                    {
                        "icc_half_0.143_angstrom": wanted,
                        "elapsed_s": line["elapsed_s"],
                        "patterns_seen": line["patterns_seen"],
                    }
                )
                break
    return found


def step_costs(
    patterns: TimedSource, directory: Path, config: TrainConfig, device: torch.device
) -> dict[str, Any]:
    """Return what a CPU finds otherwise, the steps' costs against the volume of a run, and peaks.

    At the resolution of the search, and to the detector's edge whatever the run has reached.
    """
    peaks, pixels = measure_peaks(device), patterns.pixels.to(device)
    diameter = float(patterns.info["particle_diameter_angstrom"])
    volume = read_volume(directory / "intensity.h5").to(device)
    oversampling = 1 / (volume.spacing * diameter)
    grid = intensity_grid(float(pixels.radius[-1]), diameter, oversampling)
    count = min(config.block, patterns.n_patterns)
    whole = Block(
        volume=resample(volume, *grid),
        pixels=pixels,
        photons=patterns.read(0, count),
        poses=so3.super_fibonacci(count).to(device),
    )
    low = whole.within(config.search.reach / diameter)
    off = differences(whole)
    lines = measure(low, config.search.rotations, peaks)
    lines += [x for x in measure(whole, 64, peaks) if x["step"] != "grid search"]
    return {"differences": off, "peaks": dataclasses.asdict(peaks), "steps": lines}


def write(arguments: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Write the record: circumstances, settings, memory, and ``figures``."""
    record = study_record.circumstances(arguments.device)
    record["settings"] = {name: str(value) for name, value in vars(arguments).items()}
    record["peak_host_gib"] = machine.peak_gib()
    if arguments.device.startswith("cuda"):
        record["peak_device_gib"] = torch.cuda.max_memory_allocated() / 2**30
    study_record.write(arguments.record, record | figures)
