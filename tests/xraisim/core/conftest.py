"""A small experiment that the tests of likelihood, search and merging share."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from xraisim.core import rotations, so3
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Photons, Pixels, Volume


@dataclass(frozen=True)
class Experiment:
    """Patterns of a lumpy particle, 100 Å across, with everything known."""

    volume: Volume
    pixels: Pixels
    photons: Photons
    poses: torch.Tensor
    fluence: torch.Tensor


def sparse(counts: torch.Tensor) -> Photons:
    """Return dense counts [n, P] as a sparse block."""
    row, pixel = np.nonzero(counts.numpy())
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(counts)))])
    return Photons(
        offsets=offsets,
        pixel=pixel.astype(np.int32),
        count=counts.numpy()[row, pixel].astype(np.int32),
    )


def lumpy_intensity(grid: int = 33, spacing: float = 1 / 300) -> Volume:
    """Return |F|² of thirty point scatterers inside a ball of 100 Å, summed directly."""
    random = torch.Generator().manual_seed(7)
    direction = torch.nn.functional.normalize(torch.randn(30, 3, generator=random), dim=1)
    atoms = 45 * direction * torch.rand(30, 1, generator=random) ** (1 / 3)
    axis = (torch.arange(grid) - grid // 2) * spacing
    s = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    phase = 2 * torch.pi * s @ atoms.T
    values = torch.cos(phase).sum(-1) ** 2 + torch.sin(phase).sum(-1) ** 2
    return Volume(values=values, spacing=spacing, kind="intensity")


def make_pixels(background: float = 0.0, s_max: float = 0.045) -> Pixels:
    """Return a curved-detector disc of pixels with a gain that varies by a factor of two."""
    step = torch.linspace(-s_max, s_max, 27)
    x, y = torch.meshgrid(step, step, indexing="ij")
    s = torch.stack([x, y, -0.5 * (x**2 + y**2) * 2.7], -1).reshape(-1, 3)
    radius = s.norm(dim=1)
    index = torch.argsort(radius, stable=True)
    index = index[(radius[index] < s_max) & (radius[index] > 0.004)]
    gain = 0.002 * (1 + 0.5 * torch.sin(torch.arange(len(index)) / 9.0))
    return Pixels(
        s=s[index],
        gain=gain,
        background=torch.full((len(index),), background),
        index=index,
        shape=(27, 27),
    )


def draw_experiment(n: int, background: float = 0.0, brightness: float = 5.0) -> Experiment:
    """Draw ``n`` patterns with log-normal fluence."""
    volume, pixels = lumpy_intensity(), make_pixels(background)
    random = generator(3, "experiment")
    poses = so3.haar(n, random)
    fluence = brightness * torch.exp(0.3 * torch.randn(n, generator=random) - 0.045)
    rate = slice_volume(volume.values, rotations.to_matrix(poses), pixels.s, volume.spacing)
    rate = rate * pixels.gain * fluence[:, None] + pixels.background
    return Experiment(volume, pixels, sparse(torch.poisson(rate, generator=random)), poses, fluence)


@pytest.fixture(scope="session")
def clean() -> Experiment:
    return draw_experiment(60)


@pytest.fixture(scope="session")
def noisy() -> Experiment:
    """The same with as much background as signal."""
    return draw_experiment(60, background=1.0)


@pytest.fixture(scope="session", name="make_experiment")
def make_experiment_fixture():
    return draw_experiment


@pytest.fixture(scope="session", name="make_sparse")
def make_sparse_fixture():
    return sparse
