"""Shells, sums and radial means against numbers that are known without a program."""

import numpy as np
import pytest
import torch

from xraisim.core.errors import SamplingError
from xraisim.core.fourier import coordinates, radius
from xraisim.core.radial import (
    interpolated,
    mean_at,
    mean_by_shell,
    radial_mean,
    shell_means,
    shell_numbers,
    shell_sums,
    shells_between,
    smooth_radial_mean,
    sum_by_shell,
)
from xraisim.core.types import Volume


def test_shells_hold_the_lattice_points_of_their_distances():
    """Distances 0; 1, √2 (6 + 12 points); √3, 2, √5, √6 (8 + 6 + 24 + 24)."""
    assert shell_sums(torch.ones(5, 5, 5)).tolist() == [1, 18, 62]
    assert int((shell_numbers(5) == 3).sum()) == 125 - 1 - 18 - 62  # in the corners


def test_means_of_a_quadratic():
    """Of x² it is a third of that of r², by the cube's symmetry: (6·1 + 12·2)/18/3 and so on."""
    x = coordinates(5, 1.0)[..., 0]
    found = shell_means(x**2)
    expected = torch.tensor([0, 30 / 18 / 3, (8 * 3 + 6 * 4 + 24 * 5 + 24 * 6) / 62 / 3])
    torch.testing.assert_close(found, expected.double())


def test_a_mask_leaves_voxels_out():
    x = coordinates(5, 1.0)[..., 0]
    mask = x > 0
    assert shell_sums(torch.ones(5, 5, 5), mask).tolist() == [0, 5, 25]
    found = shell_means(torch.ones(5, 5, 5), mask)
    assert np.isnan(float(found[0]))
    assert found[1:].tolist() == [1, 1]


def test_an_even_cube_has_no_shells():
    with pytest.raises(SamplingError, match="no middle voxel"):
        shell_sums(torch.ones(4, 4, 4))


def test_points_add_up_in_the_shells_that_they_name():
    shell, values = torch.tensor([2, 0, 2]), torch.tensor([1.0, 5.0, 3.0])
    assert sum_by_shell(shell, values).tolist() == [5, 0, 4]
    assert sum_by_shell(shell, values, 4).tolist() == [5, 0, 4, 0]
    found = mean_by_shell(shell, values, 4)
    assert found[[0, 2]].tolist() == [5, 2]
    assert found[[1, 3]].isnan().all()


def test_an_edge_begins_a_shell():
    s, edges = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0, 9.0]), torch.tensor([0.0, 1.0, 2.0])
    assert shells_between(s, edges).tolist() == [0, 0, 0, 1, 1, 1]


def test_a_profile_is_linear_between_its_points_and_constant_beyond():
    place = torch.tensor([[-1.0, 0.0, 0.25], [1.5, 2.0, 7.0]])
    found = interpolated(torch.tensor([4.0, 8.0, 0.0]), place)
    assert found.tolist() == [[4, 4, 5], [4, 0, 0]]


def test_the_mean_at_a_radius_ends_with_the_last_whole_shell():
    values = radius(11, 1.0).round()
    found = mean_at(Volume(values=values, spacing=0.5, kind="intensity"), torch.tensor([0, 1, 9.0]))
    assert found.tolist() == [0, 2, 5]


def test_a_radial_mean_is_weighted_and_fills_empty_shells_with_the_lowest():
    distance = radius(9, 1.0)
    weight = torch.where(coordinates(9, 1.0)[..., 0] > 0, 3.0, 1.0) * (distance.round() != 2)
    truth = 10 - distance.round()
    found = radial_mean(truth * weight, weight)
    empty = distance.round() == 2
    torch.testing.assert_close(found[~empty], truth[~empty])
    assert (found[empty] == truth.min()).all()


def test_the_smooth_radial_mean_is_that_of_a_smooth_falloff():
    distance = radius(41, 1.0)
    values = torch.exp(-distance / 5)
    found = smooth_radial_mean(values, torch.ones_like(values))
    keep = (distance > 2) & (distance < 20)
    assert float((found / values)[keep].log().abs().max()) < 0.03
