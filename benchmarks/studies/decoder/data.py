"""Sums of simulated patterns at their true orientations, and what volumes are judged by.

The geometry and the structure are those of the task `quick`; patterns are drawn in memory.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.task import load_task
from xraisim.core import so3
from xraisim.core.fsc import intensity_correlation
from xraisim.core.likelihood import candidate_loglik
from xraisim.core.merge import Accumulator, intensity_grid
from xraisim.core.radial import shell_s
from xraisim.core.random import generator
from xraisim.core.types import Photons, Pixels, Volume
from xraisim.sample.locate import locate
from xraisim.sample.structure import read_atoms
from xraisim.scattering.structure_factor import structure_factor_grid
from xraisim.simulation.simulator import Simulator
from xraisim.simulation.stream import SimulatedPatterns

OVERSAMPLING = 2.7
PARTICLES = {"50S": "B*", "30S": "A*"}  # chains of 4v5d
_BLOCK = 2048


@dataclass(frozen=True, kw_only=True)
class Setting:
    """``fluence``: relative to `quick`; ``error_deg``: standard deviation of the pose errors."""

    particle: str = "50S"
    fluence: float = 1.0
    patterns: int = 8000
    error_deg: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The true intensity on the merge's grid, and the particle's diameter and measured range."""

    volume: Volume
    diameter_angstrom: float
    s_range: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Patterns:
    """Patterns with their true orientations and fluences."""

    pixels: Pixels
    photons: Photons
    poses: Float[Tensor, "n 4"]
    fluence: Float[Tensor, "n"]

    def sums(self, truth: Truth, patterns: int, error_deg: float) -> Accumulator:
        """Return the sums of the first ``patterns``, their orientations off by ``error_deg``."""
        total = Accumulator.empty(truth.volume.grid, truth.volume.spacing)
        # A rotation vector of three such components is error_deg long on average.
        sigma = np.radians(error_deg) / np.sqrt(8 / np.pi)
        turned = so3.perturb(self.poses, 1, sigma, generator(0, "pose errors"))[:, 0]
        for start in range(0, patterns, _BLOCK):
            rows = slice(start, min(start + _BLOCK, patterns))
            block = self.photons.take(np.arange(rows.start, rows.stop))
            total.add(self.pixels, block, turned[rows], self.fluence[rows])
        return total

    def loglik(self, volume: Volume) -> float:
        """Return the mean log-likelihood per pattern (nats) at the true orientations."""
        poses = self.poses[:, None].contiguous()
        value, _ = candidate_loglik(volume, self.pixels, self.photons, poses)
        return float(value.mean())


def simulate(
    particle: str, fluence: float, patterns: int, held_out: int
) -> tuple[Truth, Patterns, Patterns]:
    """Return the truth, ``patterns`` to merge, and ``held_out`` further ones to judge by."""
    quick = load_task("quick").simulate
    beam = dataclasses.replace(quick.beam, photons_per_pulse=fluence * quick.beam.photons_per_pulse)
    config = dataclasses.replace(
        quick, chains=PARTICLES[particle], beam=beam, patterns=patterns + held_out
    )
    simulator = Simulator(config)
    source = SimulatedPatterns(simulator)
    shots = simulator.shots(0, config.patterns)
    pixels = source.pixels
    s_range = (float(pixels.radius[0]), float(pixels.radius[-1]))
    diameter = simulator.diameter_angstrom

    def part(start: int, stop: int) -> Patterns:
        return Patterns(
            pixels=pixels,
            photons=source.read(start, stop),
            poses=torch.from_numpy(shots.orientation[start:stop]),
            fluence=torch.from_numpy(shots.fluence[start:stop]),
        )

    grid, spacing = intensity_grid(s_range[1], diameter, OVERSAMPLING)
    atoms = read_atoms(locate(quick.structure), chains=config.chains)
    F = structure_factor_grid(atoms, grid, spacing, beam.photon_energy_ev)
    values = torch.from_numpy((np.abs(F) ** 2).astype(np.float32))
    volume = Volume(values=values, spacing=spacing, kind="intensity")
    truth = Truth(volume=volume, diameter_angstrom=diameter, s_range=s_range)
    return truth, part(0, patterns), part(patterns, config.patterns)


def correlation(volume: Volume, truth: Truth) -> tuple[Float[Tensor, "k"], Float[Tensor, "k"]]:
    """Return |s| (Å⁻¹) of the shells within the measured range and the correlation there."""
    curve = intensity_correlation(volume.values, truth.volume.values)
    s, half = shell_s(volume.grid, volume.spacing), volume.spacing / 2
    low, high = truth.s_range
    keep = (s >= low + half) & (s <= high - half)
    return s[keep], curve[keep]
