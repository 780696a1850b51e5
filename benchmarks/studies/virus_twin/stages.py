"""The twin's own stages: single hits selected, an intensity phased; not made again if there."""

from pathlib import Path

import numpy as np

from baselines.classify import checkpoint as classes
from baselines.classify import classify
from baselines.classify.selection import AUTO, read_selection, select, write_selected
from baselines.phasing.config import PhasingConfig
from baselines.phasing.output import write_result
from baselines.phasing.run import phase
from benchmarks.studies.virus_twin.settings import ExperimentSettings
from xraisim.console import progress, say
from xraisim.files.result import INTENSITY, is_finished
from xraisim.files.volumes import read_attributes, read_volume


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


def phased(run: Path, config: PhasingConfig, seed: int) -> Path:
    """Return the directory of the density of a reconstruction."""
    directory, intensity = run / "phasing", run / INTENSITY
    if not is_finished(directory):
        settings = config.completed(read_attributes(intensity))
        with progress("phasing iterations", settings.iterations) as advance:
            result = phase(read_volume(intensity), settings, seed, advance)
        write_result(directory, result, settings, seed)
    return directory
