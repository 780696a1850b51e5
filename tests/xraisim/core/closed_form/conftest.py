"""Sums of a particle whose intensity is known: a few dozen points in a ball."""

from dataclasses import dataclass

import pytest
import torch

from xraisim.core.fourier import coordinates, radius
from xraisim.core.merge import Accumulator
from xraisim.core.random import generator
from xraisim.core.types import Volume

DIAMETER_ANGSTROM = 100.0
OVERSAMPLING = 2.7
GRID = 41


@dataclass(frozen=True, kw_only=True)
class Particle:
    """The true intensity on a grid, and draws of photons from it."""

    truth: Volume
    diameter_angstrom: float = DIAMETER_ANGSTROM

    def sums(self, photons: float, seed: int = 0, gap: float = 2.5) -> Accumulator:
        """Return Poisson sums with that many photons per voxel on average, but for a beamstop.

        The exposure falls with the radius as that of random slices does; the true blur of
        trilinear weights is left out.
        """
        grid = self.truth.grid
        distance = radius(grid, 1.0)
        exposure = 1 / distance.clamp_min(1)
        exposure[(distance < gap) | (distance > grid // 2 - 1)] = 0
        expected = exposure * self.truth.values
        scale = photons / float(expected[exposure > 0].mean())
        draw = torch.poisson(scale * expected, generator=generator(seed, "photons"))
        return Accumulator(photons=draw, exposure=scale * exposure, spacing=self.truth.spacing)


@pytest.fixture(scope="session")
def particle() -> Particle:
    spacing = 1 / (OVERSAMPLING * DIAMETER_ANGSTROM)
    random = generator(0, "atoms")
    atoms = torch.randn(600, 3, generator=random)
    # Uniform in the ball, so that every length up to D occurs.
    length = torch.rand(600, 1, generator=random) ** (1 / 3)
    atoms = 0.5 * DIAMETER_ANGSTROM * length * atoms / atoms.norm(dim=1, keepdim=True)
    points = coordinates(GRID, spacing).reshape(-1, 3)
    phase = 2 * torch.pi * (points.double() @ atoms.double().T)
    values = phase.cos().sum(1) ** 2 + phase.sin().sum(1) ** 2
    values = values.reshape((GRID,) * 3).float()
    return Particle(truth=Volume(values=values, spacing=spacing, kind="intensity"))
