"""From nothing to a density, stage by stage; what is there already is not made again."""

from pathlib import Path

import numpy as np
import torch

from baselines.classify import checkpoint as classes
from baselines.classify import classify
from baselines.classify.selection import AUTO, read_selection, select, write_selected
from baselines.phasing.config import PhasingConfig
from baselines.phasing.output import write_result
from baselines.phasing.run import phase
from benchmarks.experiments.settings import ExperimentSettings
from xrai.config import TrainConfig
from xrai.state import checkpoint
from xrai.train import reconstruct, resume
from xraisim.console import progress, say
from xraisim.files.patterns import PatternReader
from xraisim.files.poses import read_poses
from xraisim.files.result import INTENSITY, POSES, is_finished
from xraisim.files.volumes import read_attributes, read_volume
from xraisim.simulation import make
from xraisim.simulation.config import SimulationConfig


def simulated(config: SimulationConfig, patterns: Path) -> Path:
    """Return ``patterns``, made or completed unless it is whole."""
    with progress("patterns", config.patterns) as advance:
        make.simulate(config, patterns, resume=True, progress=advance)
    return patterns


def selected(settings: ExperimentSettings, patterns: Path, directory: Path) -> np.ndarray:
    """Return the numbers of the single hits; ``directory/single.h5`` holds their patterns."""
    single, selection = directory / "single.h5", directory / "selection.h5"
    if not single.exists():
        say("classifying patterns …")
        config, run = settings.classify, directory / "classes"
        if not is_finished(run):
            with progress("iterations", config.restarts * config.iterations) as advance:
                interrupted = (run / classes.NAME).exists()
                classify(patterns, run, config, resume=interrupted, progress=advance)
        select(run, AUTO, selection, settings.brightest)
        write_selected(selection, single, patterns)
    return np.flatnonzero(read_selection(selection, patterns).numpy())


def trained(patterns: Path, directory: Path, config: TrainConfig) -> Path:
    """Return ``directory`` with a finished reconstruction in it."""
    if not is_finished(directory):
        if (directory / checkpoint.NAME).exists():
            resume(directory)
        else:
            reconstruct(patterns, directory, config)
    return directory


def phased(run: Path, config: PhasingConfig, seed: int) -> Path:
    """Return the directory of the density of a reconstruction."""
    directory, intensity = run / "phasing", run / INTENSITY
    if not is_finished(directory):
        settings = config.completed(read_attributes(intensity))
        with progress("phasing iterations", settings.iterations) as advance:
            result = phase(read_volume(intensity), settings, seed, advance)
        write_result(directory, result, settings, seed)
    return directory


def measured_range(patterns: Path) -> tuple[float, float]:
    """Return the smallest and largest |s| of a file's usable pixels, Å⁻¹."""
    with PatternReader(patterns) as reader:
        radius = reader.pixels.radius
    return float(radius[0]), float(radius[-1])


def orientations(run: Path) -> torch.Tensor:
    """Return the orientations that a reconstruction found, float32 [N, 4]."""
    return torch.from_numpy(read_poses(run / POSES)["orientations"])
