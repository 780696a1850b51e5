"""Slices and their adjoint: fused loops against plain torch, dot products, gradients."""

import pytest
import torch

from xraisim.core import rotations, so3
from xraisim.core.errors import SamplingError
from xraisim.core.random import generator
from xraisim.core.sampling import (
    insert_slice_pairs,
    insert_slices,
    insert_slices_reference,
    slice_volume,
    slice_volume_reference,
)

GRID, SPACING = 21, 0.01


@pytest.fixture
def operands():
    random = generator(0, "operands")
    volume = torch.randn(GRID, GRID, GRID, generator=random)
    matrix = rotations.to_matrix(so3.haar(7, random))
    s = 0.05 * torch.randn(200, 3, generator=random)
    s = s * (0.099 / s.norm(dim=1, keepdim=True).clamp_min(0.099))
    values = torch.randn(7, 200, generator=random)
    return volume, matrix, s, values


def test_fast_slice_equals_reference(operands):
    volume, matrix, s, _ = operands
    fast = slice_volume(volume, matrix, s, SPACING)
    plain = slice_volume_reference(volume.double(), matrix.double(), s.double(), SPACING)
    assert torch.allclose(fast.double(), plain, atol=2e-5)


def test_fast_insert_equals_reference(operands):
    _, matrix, s, values = operands
    fast = insert_slices(values, matrix, s, SPACING, GRID)
    plain = insert_slices_reference(values.double(), matrix.double(), s.double(), SPACING, GRID)
    assert torch.allclose(fast.double(), plain, atol=1e-4)


def test_pairs_are_inserted_like_each_alone(operands):
    _, matrix, s, values = operands
    other = values.flip(1) * (values > 0)  # zero where the first is not
    both = insert_slice_pairs(values, other, matrix, s, SPACING, GRID)
    for found, alone in zip(both, (values, other), strict=True):
        plain = insert_slices_reference(alone.double(), matrix.double(), s.double(), SPACING, GRID)
        assert torch.allclose(found.double(), plain, atol=1e-4)


def test_insert_is_the_adjoint_of_slice(operands):
    volume, matrix, s, values = operands
    forward = (slice_volume(volume, matrix, s, SPACING).double() * values.double()).sum()
    adjoint = (insert_slices(values, matrix, s, SPACING, GRID).double() * volume.double()).sum()
    assert float(forward) == pytest.approx(float(adjoint), rel=1e-4, abs=1e-3)


def test_slice_follows_the_orientation_convention():
    # A volume that is linear in s is interpolated exactly: V(s) = s_x + 2 s_y + 4 s_z.
    axis = (torch.arange(GRID) - GRID // 2) * SPACING
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    pose = rotations.from_rotation_vector(torch.tensor([[0.3, -0.8, 0.5]]))
    matrix = rotations.to_matrix(pose)
    s = torch.tensor([[0.03, 0.01, -0.02], [0.0, 0.05, 0.01]])
    expected = (s @ matrix[0]) @ torch.tensor([1.0, 2.0, 4.0])  # rows of s @ R are Rᵀ s
    found = slice_volume(x + 2 * y + 4 * z, matrix, s, SPACING)[0]
    assert torch.allclose(found, expected, atol=1e-6)


def test_gradients_equal_the_references(operands):
    volume, matrix, s, values = operands
    grads = []
    for cut in (slice_volume, slice_volume_reference):
        v, m = volume.clone().requires_grad_(), matrix.clone().requires_grad_()
        (cut(v, m, s, SPACING) * values).sum().backward()
        grads.append((v.grad, m.grad))
    (fast_v, fast_m), (plain_v, plain_m) = grads
    assert torch.allclose(fast_v, plain_v, atol=1e-4)
    assert torch.allclose(fast_m, plain_m, rtol=1e-3, atol=1e-3)


def test_pixels_outside_the_cube_are_refused(operands):
    volume, matrix, _, _ = operands
    far = torch.tensor([[0.0, 0.0, 0.101]])
    with pytest.raises(SamplingError, match=r"reach \|s\| = 0.101 .* use at least"):
        slice_volume(volume, matrix, far, SPACING)
