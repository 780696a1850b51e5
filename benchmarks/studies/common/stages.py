"""Stages of several studies; what is there already is not made again. And what a run left."""

from pathlib import Path
from typing import Any

import torch

from xrai.config import TrainConfig
from xrai.state import checkpoint
from xrai.train import reconstruct, resume
from xraisim.console import progress
from xraisim.files.events import METRICS, read_events
from xraisim.files.patterns import PatternReader
from xraisim.files.poses import read_poses
from xraisim.files.result import POSES, is_finished
from xraisim.simulation import make
from xraisim.simulation.config import SimulationConfig


def simulated(config: SimulationConfig, patterns: Path) -> Path:
    """Return ``patterns``, made or completed unless it is whole."""
    patterns.parent.mkdir(parents=True, exist_ok=True)
    with progress("patterns", config.patterns) as advance:
        make.simulate(config, patterns, resume=True, progress=advance)
    return patterns


def trained(patterns: Path, directory: Path, config: TrainConfig) -> Path:
    """Return ``directory`` with a finished reconstruction in it."""
    if not is_finished(directory):
        if (directory / checkpoint.NAME).exists():
            resume(directory)
        else:
            reconstruct(patterns, directory, config)
    return directory


def measured_range(patterns: Path) -> tuple[float, float]:
    """Return the smallest and largest |s| of a file's usable pixels, Å⁻¹."""
    with PatternReader(patterns) as reader:
        radius = reader.pixels.radius
    return float(radius[0]), float(radius[-1])


def orientations(run: Path) -> torch.Tensor:
    """Return the orientations that a reconstruction found, float32 [N, 4]."""
    return torch.from_numpy(read_poses(run / POSES)["orientations"])


def metrics(run: Path, **wanted: object) -> list[dict[str, Any]]:
    """Return the lines of a run's ``metrics.jsonl`` that have the values ``wanted``."""
    lines = read_events(run / METRICS)
    return [line for line in lines if all(line.get(key) == wanted[key] for key in wanted)]


def rounds(run: Path) -> list[dict[str, Any]]:
    """Return what X-RAI noted of each round, without the curves."""
    lines = metrics(run, event="round")
    return [{k: v for k, v in line.items() if not isinstance(v, list)} for line in lines]
