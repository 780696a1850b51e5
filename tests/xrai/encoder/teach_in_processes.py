"""One of the processes of test_teach.py: torchrun starts it, and it saves what it learned."""

import sys
from pathlib import Path

import torch

from xrai.encoder import EncoderConfig
from xrai.teach import Teacher
from xraisim.core import so3
from xraisim.core.processes import processes_of
from xraisim.core.random import generator
from xraisim.core.types import Pixels, Volume


def main(directory: Path) -> None:
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
    with processes_of("cpu") as processes:
        teacher = Teacher(pixels, config, 2, "cpu", processes)
        pose = so3.haar(100, random)
        teacher.learn(volume, pixels, counts, pose, torch.ones(100), 5)
        torch.save(teacher.encoder.state_dict(), directory / f"{processes.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
