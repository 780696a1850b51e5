"""Every kind of particle on a grid, as it lies and turned, against sums and closed forms."""

import numpy as np
import pytest
import torch

from xraisim.core import rotations
from xraisim.core.fourier import coordinates
from xraisim.sample.shapes import Body
from xraisim.sample.solvent import Hydrated
from xraisim.sample.structure import Atoms
from xraisim.scattering.friedel import Scatterer, scattering_grid
from xraisim.scattering.structure_factor import structure_factor_direct

GRID, SPACING, ENERGY = 9, 0.012, 8000.0
CUBE = Body(shape="cube", size_angstrom=31.0, material="gold")


@pytest.fixture(scope="module")
def turn() -> np.ndarray:
    quaternion = torch.tensor([0.5, -0.1, 0.7, 0.3], dtype=torch.float64)
    return rotations.to_matrix(rotations.normalize(quaternion)).numpy()


@pytest.fixture
def in_water(cloud: Atoms) -> Hydrated:
    """With voxels of 5 Å, which do not look the same from all sides."""
    draw = np.random.default_rng(2)
    return Hydrated(
        atoms=cloud,
        voxels=draw.uniform(-30, 30, (50, 3)).astype(np.float32),
        contrast=draw.choice([-0.334, 0.03], 50).astype(np.float32),
        voxel_angstrom=5.0,
    )


def points(A: np.ndarray) -> np.ndarray:
    """Return A s of every voxel."""
    return coordinates(GRID, SPACING).reshape(-1, 3).double().numpy() @ A.T


def deviation(particle: Scatterer, expected: np.ndarray) -> float:
    found = scattering_grid(particle, GRID, SPACING, ENERGY).reshape(-1)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_turned_atoms_scatter_the_sum_at_turned_s(cloud: Atoms, turn: np.ndarray) -> None:
    direct = structure_factor_direct(cloud, points(turn), ENERGY)
    assert deviation(cloud.turned(turn), direct) < 1e-3
    assert deviation(cloud.turned(turn.T), direct) > 0.1


def test_turned_water_turns_with_its_voxels(in_water: Hydrated, turn: np.ndarray) -> None:
    s = points(turn)
    phases = np.exp(2j * np.pi * s @ in_water.voxels.T.astype(float))
    voxels = (5 * np.sinc(5 * s)).prod(1) * (phases @ in_water.contrast)
    direct = structure_factor_direct(in_water.atoms, s, ENERGY) + voxels
    assert deviation(in_water.turned(turn), direct) < 1e-3
    twice = in_water.turned(turn.T).turned(turn @ turn)
    assert deviation(twice, direct) < 1e-3
    assert twice.diameter_angstrom == pytest.approx(in_water.diameter_angstrom, rel=1e-5)


def test_a_turned_cube_is_a_product_of_sincs_at_turned_s(turn: np.ndarray) -> None:
    direct = CUBE.density(ENERGY) * (31 * np.sinc(31 * points(turn))).prod(1)
    assert abs(direct.imag).max() > 1
    assert deviation(CUBE.turned(turn), direct) < 1e-6
    assert deviation(CUBE.turned(turn.T).turned(turn @ turn), direct) < 1e-6
    assert CUBE.turned(turn).electrons == CUBE.electrons
    assert CUBE.turned(turn).diameter_angstrom == CUBE.diameter_angstrom


def test_a_sphere_is_the_integral_over_its_slices() -> None:
    """∫ π(R² − z²) cos(2π s z) dz, by the midpoint rule."""
    sphere = Body(shape="sphere", size_angstrom=40.0, electrons_per_angstrom3=0.4)
    z = (np.arange(4000) + 0.5) / 4000 * 40 - 20
    s = np.linalg.norm(points(np.eye(3)), axis=1)
    slices = np.pi * (20**2 - z**2) * (z[1] - z[0])
    direct = 0.4 * np.cos(2 * np.pi * s[:, None] * z) @ slices
    assert deviation(sphere, direct) < 1e-5
