import math

import pytest
import torch

from xraisim.core import align, fourier, rotations, sampling, so3
from xraisim.core.errors import SamplingError
from xraisim.core.random import generator
from xraisim.core.types import Volume

DIAMETER = 100.0
SPACING = 1 / (3.2 * DIAMETER)
GRID = 41
BAND = (4 * SPACING, 18 * SPACING)


def _atoms():
    points = torch.randn(60, 3, generator=generator(0, "atoms"))
    return points / points.norm(dim=1).max() * DIAMETER / 2


def _structure_factors(atoms, s):
    return torch.exp(2j * math.pi * (s.reshape(-1, 3) @ atoms.T)).sum(1).reshape(s.shape[:-1])


def _intensity(atoms, grid=GRID, spacing=SPACING):
    factors = _structure_factors(atoms, fourier.coordinates(grid, spacing))
    return Volume(values=factors.abs() ** 2, spacing=spacing, kind="intensity")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_rotated_noisy_volume_is_aligned_to_a_tenth_of_a_degree(seed):
    atoms = _atoms()
    truth = so3.haar(1, generator(seed, "truth"))[0]
    # V_volume(s) = V_reference(A s) holds for atoms turned by Aᵀ.
    volume = _intensity(atoms @ rotations.to_matrix(truth))
    noise = torch.exp(0.3 * torch.randn(volume.values.shape, generator=generator(seed, "noise")))
    noisy = Volume(values=volume.values * noise, spacing=SPACING, kind="intensity")
    found = align.align_intensity(noisy, _intensity(atoms, 45), BAND, seed=seed)
    error = math.degrees(rotations.angle_between(found.quaternion, truth))
    assert error < 0.2
    assert 0.8 < found.score <= 1.0


def test_poses_found_with_a_volume_are_reference_poses_times_the_alignment():
    atoms = _atoms()
    turn, poses = so3.haar(1, generator(4, "turn"))[0], so3.haar(3, generator(4, "poses"))
    s = torch.randn(50, 3, generator=generator(4, "s"))
    s = s / s.norm(dim=1, keepdim=True) * 10 * SPACING
    reference = _intensity(atoms)
    volume = _intensity(atoms @ rotations.to_matrix(turn))
    pattern = sampling.slice_volume(reference.values, rotations.to_matrix(poses), s, SPACING)
    moved = rotations.multiply(poses, turn[None])  # R_volume = R_reference · A
    again = sampling.slice_volume(volume.values, rotations.to_matrix(moved), s, SPACING)
    relative = (again - pattern).norm() / (pattern - pattern.mean()).norm()
    assert relative < 0.1  # trilinear error of both look-ups
    found = align.Alignment(quaternion=turn, score=1.0)
    back = found.to_reference_frame(moved)
    assert rotations.angle_between(back, poses).max() < 1e-3


def test_rotate_volume_turns_as_the_alignment_says():
    atoms = _atoms()
    turn = so3.haar(1, generator(5, "turn"))[0]
    turned = align.rotate_volume(_intensity(atoms, 61), turn, GRID, SPACING)
    expected = _intensity(atoms @ rotations.to_matrix(turn)).values
    inside = (fourier.radius(GRID, 1.0) > 4) & (fourier.radius(GRID, 1.0) < 19)
    pair = torch.stack([turned.values[inside], expected[inside]])
    assert torch.corrcoef(pair)[0, 1] > 0.98
    assert turned.values[0, 0, 0] == 0  # the corners of the cube are outside the ball


def test_rotate_volume_refuses_a_ball_larger_than_the_volume():
    with pytest.raises(SamplingError, match="ends at"):
        align.rotate_volume(_intensity(_atoms()), torch.tensor([1.0, 0, 0, 0]), 61, SPACING)


def test_an_empty_band_is_an_error():
    volume = _intensity(_atoms())
    with pytest.raises(SamplingError, match="wider band"):
        align.align_intensity(volume, volume, (5.02 * SPACING, 5.03 * SPACING))


@pytest.mark.parametrize("inverted", [False, True])
def test_density_hand_and_subvoxel_shift_are_recovered(inverted):
    atoms = _atoms()
    reference = _structure_factors(atoms, fourier.coordinates(GRID, SPACING))
    shift = torch.tensor([11.3, -7.7, 2.25])
    other = reference.conj() if inverted else reference
    moved = align.shift_structure_factors(other, shift, SPACING)
    noise = torch.randn(moved.shape, dtype=torch.complex64, generator=generator(6, "noise"))
    noisy = moved + 5 * noise
    found = align.align_density(noisy, reference, SPACING)
    assert found.inverted is inverted
    # The hand is undone first, so the inverted density has moved the other way.
    expected = shift if inverted else -shift
    torch.testing.assert_close(found.shift_angstrom, expected, atol=0.2, rtol=0)
    assert 0.7 < found.score < 1.0
