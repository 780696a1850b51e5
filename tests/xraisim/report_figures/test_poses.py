"""Coverage of view directions."""

import math

import numpy as np
import pytest
import torch

from xraisim.core import rotations, so3
from xraisim.report_figures.poses import coverage, coverage_map, distributions


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
