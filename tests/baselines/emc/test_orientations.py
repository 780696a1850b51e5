"""The grid of orientations: how uniform it is, and what its numbers mean."""

import math

import pytest
import torch

from baselines.emc.orientations import OrientationGrid, oriented
from xraisim.core import rotations, so3
from xraisim.core.symmetry import point_group

C1 = point_group("C1")


@pytest.mark.parametrize("count", [1, 300, 5000])
def test_a_grid_has_about_as_many_orientations_as_asked_for(count):
    grid = OrientationGrid.of(count, C1)
    assert grid.angles % 2 == 0
    assert len(grid) == grid.angles * len(grid.frames)
    if count > 1:
        assert len(grid) == pytest.approx(count, rel=0.05)


def test_no_rotation_is_further_than_a_spacing_from_the_grid():
    grid = OrientationGrid.of(2000, C1)
    every = oriented(
        grid.frames.repeat_interleave(grid.angles, 0),
        torch.arange(grid.angles).repeat(len(grid.frames)),
        grid.angles,
    )
    draw = torch.Generator().manual_seed(0)
    anywhere = so3.haar(500, draw)
    distance = rotations.angle_between(anywhere[:, None], every[None]).min(1).values
    assert float(distance.max()) < 1.1 * so3.spacing(2000)
    assert float(distance.mean()) < 0.6 * so3.spacing(2000)


def test_an_orientation_is_a_turn_about_the_beam_after_its_frame():
    grid = OrientationGrid.of(100, C1)
    angle = torch.tensor([0, 1, grid.angles - 1])
    found = rotations.to_matrix(oriented(grid.frames[:3], angle, grid.angles))
    alpha = 2 * math.pi * angle.double() / grid.angles
    c, s, o, i = alpha.cos(), alpha.sin(), torch.zeros(3).double(), torch.ones(3).double()
    turn = torch.stack([c, -s, o, s, c, o, o, o, i], 1).view(3, 3, 3).float()
    torch.testing.assert_close(
        found, turn @ rotations.to_matrix(grid.frames[:3]), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("name", ["C3", "D2", "O"])
def test_with_the_mates_of_a_point_group_nothing_is_left_out(name):
    """As many orientations fewer as the group is large; R·g of the grid is near everything."""
    group = point_group(name)
    grid = OrientationGrid.of(2000, group)
    assert len(grid) == pytest.approx(2000 / len(group), abs=30)
    every = oriented(
        grid.frames.repeat_interleave(grid.angles, 0),
        torch.arange(grid.angles).repeat(len(grid.frames)),
        grid.angles,
    )
    mates = rotations.multiply(every[:, None], group.to(every)[None]).flatten(0, 1)
    anywhere = so3.haar(200, torch.Generator().manual_seed(0))
    distance = rotations.angle_between(anywhere[:, None], mates[None]).min(1).values
    assert float(distance.max()) < 1.3 * so3.spacing(2000)
