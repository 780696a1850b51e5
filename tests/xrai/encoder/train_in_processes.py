"""One of the processes of test_training.py: torchrun starts it, and it saves what it learned."""

import sys
from pathlib import Path

import torch
from torch import Tensor

from xrai.encoder import EncoderConfig
from xrai.encoder.training import EncoderTrainer
from xraisim.core import so3
from xraisim.core.processes import Processes, processes_of
from xraisim.core.random import generator
from xraisim.core.types import Pixels, Volume


def learn(processes: Processes) -> dict[str, Tensor]:
    """Learn a few steps on random numbers: what is learned does not matter here."""
    index = torch.arange(400)
    s = torch.stack([index // 20 - 9.5, index % 20 - 9.5, 0.0 * index], 1) * 1e-3
    index = index[s.norm(dim=1).argsort(stable=True)]
    one = torch.ones(400)
    pixels = Pixels(s=s[index], gain=one, background=0 * one, index=index, shape=(20, 20))
    random = generator(0, "test")
    values = torch.rand(33, 33, 33, generator=random) * 4
    volume = Volume(values=values + values.flip(0, 1, 2), spacing=1e-3, kind="intensity")
    counts = torch.poisson(4 * torch.rand(100, 400, generator=random), generator=random)
    config = EncoderConfig(rings=6, azimuths=8, directions=60, channels=16, batch=36)
    trainer = EncoderTrainer(pixels, config, 2, "cpu", processes)
    trainer.learn(volume, pixels, counts, so3.haar(100, random), torch.ones(100), 5)
    return trainer.encoder.state_dict()


def main(directory: Path) -> None:
    """Save what was learned; fail if threads of the process group outlive it."""
    with processes_of("cpu") as processes:
        torch.save(learn(processes), directory / f"{processes.rank}.pt")
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    left = [name for name in threads if "gloo" in name]
    assert not left, f"{left} may abort the process while Python shuts down"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
