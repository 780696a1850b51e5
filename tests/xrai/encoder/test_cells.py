"""Cells of SO(3): rotations between the cells come back, in-plane turns shift one index."""

import math

import pytest
import torch

from xrai.encoder.cells import Cells, view_frames, views_in_use
from xrai.encoder.modes import modes
from xraisim.core import rotations, so3
from xraisim.core.random import generator
from xraisim.core.symmetry import angle_modulo_mate, point_group


@pytest.fixture
def cells() -> Cells:
    return Cells(400, 32)


def test_frames_bring_their_directions_to_the_beam():
    frames = view_frames(50)
    matrix = rotations.to_matrix(frames)
    z = matrix[:, 2, 2]
    assert torch.allclose(z, 1 - (2 * torch.arange(50) + 1) / 50, atol=1e-5)
    beam = torch.tensor([0.0, 0.0, 1.0]).expand(50, 3)
    assert torch.allclose(torch.einsum("nij,nj->ni", matrix, matrix[:, 2]), beam, atol=1e-5)
    # Neighbours on the sphere are as far apart as 50 equal areas let them be.
    cosine = matrix[:, 2] @ matrix[:, 2].T - 2 * torch.eye(50)
    assert float(cosine.max()) < math.cos(0.6 * math.sqrt(4 * math.pi / 50))


def test_mean_over_the_shares_is_the_rotation(cells):
    pose = so3.haar(500, generator(0, "pose"))
    cell, share = cells.shares(pose)
    assert torch.allclose(share.sum(1), torch.ones(500), atol=1e-5)
    mean, mass = modes(cells.grid[cell], share, 3 * cells.spacing_rad, 1)
    error = angle_modulo_mate(mean[:, 0].contiguous(), pose)
    assert torch.allclose(mass, torch.ones(500, 1), atol=1e-4)
    # The cells are 10° apart.
    assert float(error.median()) < 1.5
    assert float(error.max()) < 6


def test_a_turn_of_the_pattern_shifts_the_azimuth_alone(cells):
    pose = so3.haar(20, generator(1, "pose"))
    turn = so3.about_beam(torch.full((20,), 5 * math.pi / cells.azimuths))
    before, share = cells.shares(pose)
    after, turned = cells.shares(rotations.multiply(turn, pose))
    shifted = (before + 5 * cells.directions) % (cells.azimuths * cells.directions)

    def dense(cell, weight):
        return torch.zeros(20, len(cells.grid)).scatter_add_(1, cell, weight)

    assert torch.allclose(dense(shifted, share), dense(after, turned), atol=1e-3)


def test_a_pose_and_its_mate_share_alike(cells):
    pose = so3.haar(20, generator(2, "pose"))
    one, other = (torch.zeros(20, len(cells.grid)) for _ in range(2))
    one.scatter_add_(1, *cells.shares(pose))
    other.scatter_add_(1, *cells.shares(so3.in_plane_mate(pose)))
    assert torch.allclose(one, other, atol=1e-3)


def test_equivalent_poses_share_alike():
    group = point_group("I")
    cells = Cells(400, 32, group)
    pose = so3.haar(20, generator(5, "pose"))
    mates = rotations.multiply(pose[:, None], group.float()).reshape(-1, 4)
    every = torch.zeros(len(mates), len(cells.grid)).scatter_add_(1, *cells.shares(mates))
    every = every.reshape(20, len(group), -1)
    assert torch.allclose(every, every[:, :1].expand_as(every), atol=2e-3)


def test_a_mode_gathers_what_lies_on_both_sides_of_the_asymmetric_unit():
    group = point_group("O")
    centre = so3.haar(1, generator(6, "centre"))
    near = so3.perturb(centre, 8, 0.02, generator(7, "near"))
    mates = rotations.multiply(near, group[torch.arange(8) * 3].float())
    found, mass = modes(mates, torch.full((1, 8), 0.125), 0.2, 2, group)
    assert float(mass[0, 0]) == pytest.approx(1)
    assert float(angle_modulo_mate(found[:, 0].contiguous(), centre, group)) < 2
    _, apart = modes(mates, torch.full((1, 8), 0.125), 0.2, 2)
    assert float(apart[0, 0]) < 0.5


def test_modes_are_told_apart_and_ordered():
    centre = so3.haar(2, generator(3, "centre"))
    assert float(angle_modulo_mate(centre[:1], centre[1:])) > 30
    near = so3.perturb(centre, 6, 0.02, generator(4, "near"))
    near[0, ::2] = so3.in_plane_mate(near[0, ::2])  # mates belong to the same mode
    pose = near.reshape(1, 12, 4)
    weight = torch.tensor([[0.05] * 6 + [0.1] * 6])
    found, mass = modes(pose, weight, 0.2, 3)
    assert torch.allclose(mass, torch.tensor([[0.6, 0.3, 0.0]]), atol=1e-6)
    for head, expected in ((0, centre[1:]), (1, centre[:1])):
        assert float(angle_modulo_mate(found[:, head].contiguous(), expected)) < 2


def test_views_in_use_are_counted_by_their_entropy():
    frames = view_frames(100)
    assert views_in_use(so3.haar(20_000, generator(1, "views"))) == pytest.approx(100, abs=1)
    assert views_in_use(frames[3].expand(50, 4)) == pytest.approx(1)
    half = torch.cat([frames[:5]] * 7)
    assert views_in_use(half) == pytest.approx(5, rel=1e-5)
    # Modulo a point group, uniform poses use all of its asymmetric unit, and mates one view.
    group = point_group("O")
    uniform = so3.haar(20_000, generator(2, "views"))
    assert views_in_use(uniform, group) == pytest.approx(100, rel=0.05)
    assert views_in_use(rotations.multiply(uniform[:1], group.float()), group) == pytest.approx(1)
    # Turns of the pattern about the beam do not change the view.
    turned = rotations.multiply(so3.about_beam(torch.linspace(0, 3, 35)), half)
    assert views_in_use(turned) == pytest.approx(5, rel=1e-5)
