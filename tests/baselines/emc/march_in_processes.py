"""One of the processes of test_processes.py: torchrun starts it, and it saves its state."""

import sys
from pathlib import Path

import torch

from baselines.emc import EmcConfig
from baselines.emc.checkpoint import State
from baselines.emc.march import March
from xraisim.core import config as toml
from xraisim.core.processes import Processes, processes_of
from xraisim.files.patterns import PatternReader


def march(patterns: Path, settings: Path, directory: Path, processes: Processes) -> None:
    """Make a whole march and leave its state in a file with the number of the process."""
    config, state = toml.load(EmcConfig, settings), State(key="")
    with PatternReader(patterns) as reader:
        March(reader, directory, config, torch.device("cpu"), state, None, processes).run()
    models = [model for estimate in state.estimates for model in estimate.models]
    found = {name: getattr(state.poses, name) for name in ("hypotheses", "evidence")}
    found |= {f"volume{number}": model.volume.values for number, model in enumerate(models)}
    found |= {f"fluence{number}": one.fluence for number, one in enumerate(state.estimates)}
    found |= {"shares": torch.tensor([model.share for model in models])}
    torch.save(found, directory / f"{processes.rank}.pt")


if __name__ == "__main__":
    with processes_of("cpu") as these:
        march(*map(Path, sys.argv[1:]), these)
