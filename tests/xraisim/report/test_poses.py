"""Coverage of view directions, and how far poses are apart."""

import math

import numpy as np
import pytest
import torch

from xraisim.core import rotations, so3
from xraisim.core.symmetry import point_group
from xraisim.report.poses import (
    coverage,
    coverage_map,
    distributions,
    encoder_angles,
    nearest_neighbours,
    spacing,
)


def test_uniform_poses_spread_as_chance_has_it():
    found = coverage(so3.haar(20_000, torch.Generator().manual_seed(0)).numpy())
    assert found.density.mean() == pytest.approx(1)
    assert found.spread == pytest.approx(found.noise, rel=0.1)


def test_a_direction_is_where_the_map_says():
    """Unturned, the beam looks along +z; turned by −90° about y, along +x of the particle."""
    vectors = torch.tensor([[0.0, 0.0, 0.0], [0.0, -math.pi / 2, 0.0]])
    above, middle = rotations.from_rotation_vector(vectors).numpy()
    found = coverage(np.tile(above, (500, 1))).density
    assert found[-1].sum() == pytest.approx(found.sum())
    found = coverage(np.tile(middle, (500, 1))).density
    rows, columns = found.shape
    assert found[rows // 2 - 1 : rows // 2 + 1, columns // 2 - 1 : columns // 2 + 1].sum() == (
        pytest.approx(found.sum())
    )


def test_figures_are_drawn_whatever_the_values():
    columns = {"constant": np.ones(50), "unknown": np.full(50, np.nan), "x": np.arange(50.0)}
    assert len(distributions(columns).axes) == 3
    assert coverage_map(coverage(np.array([[1.0, 0, 0, 0]]))).axes


def test_uniform_poses_are_as_far_apart_as_chance_has_it():
    poses = so3.haar(5000, torch.Generator().manual_seed(0)).numpy()
    found = nearest_neighbours(poses)
    assert np.median(found.angle_deg) == pytest.approx(found.uniform_median_deg, rel=0.05)
    assert spacing(found).axes


def test_the_angle_is_that_of_the_rotation_whatever_the_sign():
    turn = rotations.from_rotation_vector(torch.tensor([[0.0, 0.0, np.deg2rad(7.0)]])).numpy()
    poses = np.concatenate([[[1.0, 0, 0, 0]], -turn])
    np.testing.assert_allclose(nearest_neighbours(poses).angle_deg, 7.0, atol=1e-4)


def test_an_encoder_that_has_said_nothing_has_no_angles(lumps):
    poses = lumps.poses.numpy()
    same = np.tile([1.0, 0, 0, 0], (len(poses), 1))
    assert encoder_angles({"orientations": poses}) is None
    assert encoder_angles({"orientations": poses, "encoder_orientations": same}) is None
    mates = so3.in_plane_mate(lumps.poses).numpy()
    found = encoder_angles({"orientations": poses, "encoder_orientations": mates})
    assert found.max() < 0.1


def test_equivalent_orientations_are_no_angle_apart(lumps):
    turn = point_group("T")[5].float()
    both = {
        "orientations": lumps.poses.numpy(),
        "encoder_orientations": rotations.multiply(lumps.poses, turn[None]).numpy(),
    }
    assert encoder_angles(both, "T").max() < 0.1
    assert np.median(encoder_angles(both)) > 20
