"""Directions over the sphere, and the turns that bring them onto the beam and about it."""

import math

import pytest
import torch

from xraisim.core import rotations, so3


def test_a_spiral_is_evenly_spread():
    """Nearest neighbours of N points are about √(4π/N) apart; their sum vanishes."""
    directions = so3.spiral(800)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(800).double())
    cosine = directions @ directions.T - 2 * torch.eye(800)
    nearest = cosine.max(1).values.clamp(-1, 1).acos()
    cell = math.sqrt(4 * math.pi / 800)
    assert 0.7 * cell < float(nearest.min()) <= float(nearest.max()) < 1.1 * cell
    assert float(directions.mean(0).norm()) < 1e-3
    with pytest.raises(ValueError, match="at least one"):
        so3.spiral(0)


def test_directions_are_turned_onto_the_beam_the_shortest_way():
    poles = torch.tensor([[0.0, 0, 1], [0, 0, -1]]).double()
    directions = torch.cat([so3.spiral(50), poles])
    found = so3.to_beam(directions)
    turned = torch.einsum("nij,nj->ni", rotations.to_matrix(found), directions)
    torch.testing.assert_close(turned, poles[:1].expand(52, 3), rtol=0, atol=1e-12)
    angle = rotations.angle_between(found, torch.tensor([1.0, 0, 0, 0]).double())
    torch.testing.assert_close(angle, directions[:, 2].acos(), rtol=0, atol=1e-6)


def test_a_turn_about_the_beam_takes_x_to_y():
    quarter = rotations.to_matrix(so3.about_beam(torch.tensor(math.pi / 2)))
    torch.testing.assert_close(quarter[:, 0], torch.tensor([0.0, 1, 0]), rtol=0, atol=1e-6)
    torch.testing.assert_close(quarter[:, 2], torch.tensor([0.0, 0, 1]))
