"""A particle of a few atoms of exactly known intensity, a small detector, and patterns."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.emc.orientations import OrientationGrid
from baselines.emc.polar import PolarGrid
from xraisim.core import rotations, so3
from xraisim.core.fourier import coordinates
from xraisim.core.merge import intensity_grid
from xraisim.core.symmetry import point_group
from xraisim.core.types import Photons, Pixels, Volume

WAVELENGTH_ANGSTROM = 2.7
DIAMETER_ANGSTROM = 60.0
SPECKLES = 3.0


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Point atoms at ``positions`` [A, 3] (Å) of unit scattering power, within a ball."""

    positions: torch.Tensor
    diameter_angstrom: float

    @classmethod
    def of(cls, atoms: int, seed: int, diameter_angstrom: float = DIAMETER_ANGSTROM) -> "Cloud":
        """Draw atoms uniformly in an ellipsoid whose longest axis is the diameter."""
        draw = torch.Generator().manual_seed(seed)
        direction = torch.randn(atoms, 3, generator=draw).double()
        inside = torch.rand(atoms, 1, generator=draw).double() ** (1 / 3)
        unit = direction / direction.norm(dim=1, keepdim=True) * inside
        axes = torch.tensor([1.0, 0.8, 0.6]) * diameter_angstrom / 2
        return cls(positions=unit * axes, diameter_angstrom=diameter_angstrom)

    def intensity(self, s: torch.Tensor) -> torch.Tensor:
        """Return |F|² at s [..., 3] by the sum over atoms."""
        phase = 2 * math.pi * (s.double() @ self.positions.T)
        return (phase.cos().sum(-1) ** 2 + phase.sin().sum(-1) ** 2).float()

    def volume(self, grid: int, spacing: float) -> Volume:
        """Return |F|² on a cube."""
        values = torch.stack([self.intensity(plane) for plane in coordinates(grid, spacing)])
        return Volume(values=values, spacing=spacing, kind="intensity")

    def slices(self, pixels: Pixels, quaternion: torch.Tensor) -> torch.Tensor:
        """Return V(Rᵀs) [n, P] at every pixel."""
        matrix = rotations.to_matrix(quaternion.double())
        return self.intensity(torch.einsum("nji,pj->npi", matrix, pixels.s.double()))


@dataclass(kw_only=True)
class Patterns:
    """Patterns in memory, as a source, with what they were drawn from."""

    photons: Photons
    pixels: Pixels
    info: dict[str, Any]
    orientations: torch.Tensor
    fluence: torch.Tensor
    path: Path = Path("memory")
    reads: int = 0

    @property
    def n_patterns(self) -> int:
        return len(self.photons)

    def read(self, start: int, stop: int) -> Photons:
        self.reads += 1
        return self.photons.take(np.arange(start, stop))

    def close(self) -> None:
        """Nothing is open."""


def ewald_pixels(reach: float, side: int = 19) -> Pixels:
    """Return a detector with a beamstop, a masked wedge and polarised gain, on one Ewald sphere."""
    axis = torch.linspace(-reach, reach, side, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    flat, phi = (x**2 + y**2).reshape(-1), torch.atan2(y, x).reshape(-1)
    c = -WAVELENGTH_ANGSTROM / 2
    square = (1 - (1 - 4 * c * c * flat).sqrt()) / (2 * c * c)
    s = torch.stack([x.reshape(-1), y.reshape(-1), c * square], 1)
    used = (square.sqrt() < reach) & (square.sqrt() > 0.1 * reach) & ((phi - 0.6).abs() > 0.15)
    order = used.nonzero()[:, 0]
    order = order[square[order].argsort(stable=True)]
    gain = 1 + 0.3 * (2 * phi).cos() - 0.2 * square.sqrt() / reach
    return Pixels(
        s=s[order].float(), gain=gain[order].float(), background=torch.zeros(len(order)),
        index=order, shape=(side, side),
    )  # fmt: skip


def to_photons(counts: torch.Tensor) -> Photons:
    """Return dense counts [n, P] in sparse form."""
    row, pixel = counts.nonzero().unbind(1)
    ends = torch.bincount(row, minlength=len(counts)).cumsum(0)
    return Photons(
        offsets=np.concatenate([[0], ends.numpy()]),
        pixel=pixel.int().numpy(),
        count=counts[row, pixel].int().numpy(),
    )


def make_patterns(
    cloud: Cloud,
    pixels: Pixels,
    count: int,
    photons: float,
    *,
    background: float = 0.0,
    spread: float = 0.3,
    seed: int = 1,
) -> Patterns:
    """Draw ``count`` patterns of ``photons`` signal photons and ``background`` times as many."""
    draw = torch.Generator().manual_seed(seed)
    poses = so3.haar(count, draw)
    fluence = (spread * torch.randn(count, generator=draw)).exp()
    fluence = fluence / fluence.mean()
    cut = cloud.slices(pixels, poses)
    gain = pixels.gain * (photons / float((pixels.gain * cut).sum(1).mean()))
    b = gain * (background * photons / float(gain.sum()))  # b/g alike on a ring, as of a gas
    counts = torch.poisson(fluence[:, None] * gain * cut + b, generator=draw)
    return Patterns(
        photons=to_photons(counts),
        pixels=replace(pixels, gain=gain, background=b),
        info={"particle_diameter_angstrom": cloud.diameter_angstrom},
        orientations=poses,
        fluence=fluence,
    )


@pytest.fixture(scope="session")
def particle() -> Cloud:
    """The particle."""
    return Cloud.of(25, seed=5)


@pytest.fixture(scope="session")
def another() -> Cloud:
    """Another particle of the same size."""
    return Cloud.of(25, seed=8)


@pytest.fixture(scope="session")
def pixels() -> Pixels:
    """A detector that reaches three speckles."""
    return ewald_pixels(SPECKLES / DIAMETER_ANGSTROM)


@pytest.fixture(scope="session")
def orientations() -> OrientationGrid:
    """A coarse grid of orientations."""
    return OrientationGrid.of(300, point_group("C1"))


@pytest.fixture(scope="session")
def polar(pixels: Pixels, orientations: OrientationGrid) -> PolarGrid:
    """The polar grid of the detector."""
    return PolarGrid.of(
        pixels, DIAMETER_ANGSTROM, angles=orientations.angles, rings_per_speckle=4.0, band=1.0
    )


@pytest.fixture(scope="session")
def cube(particle: Cloud, pixels: Pixels) -> Volume:
    """The particle's intensity, finely sampled."""
    return particle.volume(*intensity_grid(float(pixels.radius[-1]), DIAMETER_ANGSTROM, 5.0))


@pytest.fixture(scope="session")
def sparse() -> Callable[[torch.Tensor], Photons]:
    """Turns dense counts into sparse ones."""
    return to_photons


@pytest.fixture(scope="session")
def patterns_of() -> Callable[..., Patterns]:
    """Draws patterns."""
    return make_patterns
