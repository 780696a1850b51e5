"""Rotations and SO(3) sampling against scipy and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from xraisim.core import rotations, so3
from xraisim.core.random import generator


def scipy_of(quaternion: torch.Tensor) -> Rotation:
    return Rotation.from_quat(quaternion.numpy()[:, [1, 2, 3, 0]])


def random_quaternions(n: int, name: str = "test") -> torch.Tensor:
    return rotations.normalize(so3.haar(n, generator(0, name)).double())


def test_matrix_and_product_agree_with_scipy():
    a, b = random_quaternions(50, "a"), random_quaternions(50, "b")
    assert np.allclose(rotations.to_matrix(a).numpy(), scipy_of(a).as_matrix(), atol=1e-12)
    product = rotations.to_matrix(rotations.multiply(a, b)).numpy()
    assert np.allclose(product, (scipy_of(a) * scipy_of(b)).as_matrix(), atol=1e-12)


def test_from_matrix_inverts_to_matrix_at_every_angle():
    axis = torch.nn.functional.normalize(torch.tensor([[1.0, 2.0, -0.5]]).double(), dim=1)
    angles = torch.tensor([0.0, 1e-6, 1.0, math.pi - 1e-9, math.pi]).double()
    quaternion = rotations.from_rotation_vector(axis * angles[:, None])
    back = rotations.from_matrix(rotations.to_matrix(quaternion))
    assert float(rotations.angle_between(quaternion, back).max()) < 1e-7


@given(st.floats(0, math.pi), st.integers(0, 1000))
def test_angle_between_is_the_rotation_angle(angle, seed):
    axis = torch.nn.functional.normalize(
        torch.randn(1, 3, generator=torch.Generator().manual_seed(seed)).double(), dim=1
    )
    base = random_quaternions(1)
    turned = rotations.multiply(base, rotations.from_rotation_vector(axis * angle))
    assert float(rotations.angle_between(base, turned)) == pytest.approx(angle, abs=1e-9)


def test_haar_draws_are_uniform():
    # For uniform rotations the mean matrix vanishes and each squared entry has mean 1/3.
    for draws in (
        random_quaternions(20000),
        so3.haar_from_uniforms(torch.rand(20000, 3, generator=generator(1, "u")).double()),
    ):
        matrix = rotations.to_matrix(draws)
        assert float(matrix.mean(0).abs().max()) < 0.02
        assert float((matrix.square().mean(0) - 1 / 3).abs().max()) < 0.01


def test_super_fibonacci_covers_the_group():
    n = 2000
    grid = so3.super_fibonacci(n).double()
    probe = random_quaternions(500)
    nearest = rotations.angle_between(probe[:, None], grid[None]).min(1).values
    assert float(nearest.max()) < 1.2 * so3.spacing(n)
    assert so3.grid_size(so3.spacing(n)) == pytest.approx(n, abs=1)
    with pytest.raises(ValueError, match="at least one"):
        so3.super_fibonacci(0)


def test_perturbations_have_the_spread_asked_for():
    base = random_quaternions(200).float()
    near = so3.perturb(base, 50, 0.1, generator(0, "perturb"))
    angle = rotations.angle_between(base[:, None], near)
    # |N(0, σ² I₃)|² has mean 3σ².
    assert float(angle.square().mean()) == pytest.approx(0.03, rel=0.05)


def test_in_plane_mate_turns_the_particle_about_the_beam():
    base = random_quaternions(10)
    mate = rotations.to_matrix(so3.in_plane_mate(base))
    half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0]).double())
    assert torch.allclose(mate, half_turn @ rotations.to_matrix(base), atol=1e-12)
