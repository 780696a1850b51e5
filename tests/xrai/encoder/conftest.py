"""Detectors, and a particle whose patterns need no simulation."""

import math
from collections.abc import Callable

import pytest
import torch

from xrai.encoder import EncoderConfig
from xraisim.core.types import Pixels, Volume

REACH_PER_ANGSTROM = 0.03


def square_pixels(width: int, *, mask: bool = True, background: float = 0.0) -> Pixels:
    """Return a detector of ``width``² pixels to the same |s|: beamstop, a gap, dead pixels."""
    axis = (torch.arange(width) - (width - 1) / 2) * (2 * REACH_PER_ANGSTROM / width)
    x, y = axis.repeat(width), axis.repeat_interleave(width)
    s = torch.stack([x, y, -1.3 * (x**2 + y**2)], 1)
    radius = s.norm(dim=1)
    kept = (radius > 0.003) & (radius < REACH_PER_ANGSTROM)
    if mask:
        kept &= (y - 0.01).abs() > 0.0015
        kept &= torch.arange(width**2) % 11 != 0
    index = torch.nonzero(kept)[:, 0]
    index = index[radius[index].argsort(stable=True)]
    one = torch.full((len(index),), (33 / width) ** 2)
    return Pixels(
        s=s[index], gain=one, background=background * one, index=index, shape=(width, width)
    )


@pytest.fixture(scope="session")
def make_pixels() -> Callable[..., Pixels]:
    return square_pixels


@pytest.fixture(scope="session")
def volume() -> Volume:
    """Return the intensity of twelve points in a ball of about 130 Å."""
    random = torch.Generator().manual_seed(5)
    points = torch.randn(12, 3, generator=random) * 30
    grid, spacing = 33, 0.0022
    axis = (torch.arange(grid) - grid // 2) * spacing
    s = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    phase = 2 * math.pi * s @ points.T
    amplitude = (phase.cos().sum(1) ** 2 + phase.sin().sum(1) ** 2).reshape(grid, grid, grid)
    return Volume(values=0.1 * amplitude, spacing=spacing, kind="intensity")


@pytest.fixture(scope="session")
def small() -> EncoderConfig:
    """Return settings that learn in seconds."""
    return EncoderConfig(
        rings=10, azimuths=16, directions=100, channels=32, heads=4, batch=64, learning_rate=1e-2
    )
