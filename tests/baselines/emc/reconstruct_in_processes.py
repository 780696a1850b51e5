"""One of the processes of test_processes.py: torchrun starts it, and it saves its state."""

import sys
from pathlib import Path

import torch

from baselines.emc import EmcConfig
from baselines.emc.checkpoint import State
from baselines.emc.inputs import Inputs
from baselines.emc.reconstruction import Reconstruction
from xraisim.core import config as toml
from xraisim.core.processes import Processes, processes_of
from xraisim.files.patterns import PatternReader


def reconstruct(patterns: Path, settings: Path, directory: Path, processes: Processes) -> None:
    """Make a whole reconstruction and leave its state in a file with the number of the process."""
    config, state = toml.load(EmcConfig, settings), State(key="")
    with PatternReader(patterns) as reader:
        every = torch.ones(reader.n_patterns, dtype=torch.bool)
        inputs = Inputs(reader, config, every, torch.device("cpu"), processes)
        Reconstruction(inputs, state, directory).run()
    models = [model for estimate in state.estimates for model in estimate.models]
    found = {name: getattr(state.poses, name) for name in ("hypotheses", "evidence")}
    found |= {f"volume{number}": model.volume.values for number, model in enumerate(models)}
    found |= {f"fluence{number}": one.fluence for number, one in enumerate(state.estimates)}
    found |= {"shares": torch.tensor([model.share for model in models])}
    torch.save(found, directory / f"{processes.rank}.pt")


if __name__ == "__main__":
    with processes_of("cpu") as these:
        reconstruct(*map(Path, sys.argv[1:]), these)
