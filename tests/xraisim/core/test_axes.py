"""The axes of a symmetric intensity are found wherever they lie."""

import math

import pytest
import torch

from xraisim.core import rotations, so3
from xraisim.core.axes import group_in_frame
from xraisim.core.errors import ConfigError
from xraisim.core.fourier import coordinates
from xraisim.core.random import generator
from xraisim.core.symmetry import nearest_mate, point_group
from xraisim.core.types import Volume

GRID, SPACING, BAND = 41, 0.0015, (0.008, 0.027)


def intensity(group: torch.Tensor, turn: torch.Tensor) -> Volume:
    """Return |F|² of nine points and their copies by a group, turned: V_turned(s) = V(Aᵀ s)."""
    points = 28 * torch.randn(9, 3, generator=generator(1, "points"))
    copies = torch.einsum("gij,pj->gpi", rotations.to_matrix(group.float()), points).reshape(-1, 3)
    copies = copies @ rotations.to_matrix(turn).T
    phase = 2 * math.pi * coordinates(GRID, SPACING).reshape(-1, 3) @ copies.T
    values = phase.cos().sum(1) ** 2 + phase.sin().sum(1) ** 2
    return Volume(values=values.reshape(GRID, GRID, GRID), spacing=SPACING, kind="intensity")


@pytest.mark.parametrize("name", ["C3", "D2", "O"])
def test_the_elements_are_those_of_the_turned_particle(name):
    turn = so3.haar(1, generator(7, "turn"))[0]
    group = point_group(name).float()
    found = group_in_frame(intensity(group, turn), name, BAND)
    expected = rotations.multiply(
        rotations.multiply(turn[None], group), rotations.conjugate(turn)[None]
    )
    # Each element found is one of those put in, and each of those is found.
    _, off = nearest_mate(torch.tensor([[1.0, 0, 0, 0]]).expand(len(found), 4), found, expected)
    assert float(torch.rad2deg(off).max()) < 1.0
    _, off = nearest_mate(torch.tensor([[1.0, 0, 0, 0]]).expand(len(found), 4), expected, found)
    assert float(torch.rad2deg(off).max()) < 1.0


def test_no_symmetry_needs_no_search_and_a_wrong_group_is_refused():
    lopsided = intensity(point_group("C1"), torch.tensor([1.0, 0, 0, 0]))
    assert group_in_frame(lopsided, "C1", BAND).tolist() == [[1.0, 0.0, 0.0, 0.0]]
    with pytest.raises(ConfigError, match="does not have point group O"):
        group_in_frame(lopsided, "O", BAND)
