"""Classes of particles and the directions they are seen along."""

import math

import pytest
import torch

from baselines.emc.models import Columns, Model
from baselines.emc.orientations import oriented
from xraisim.core.radial import radial_mean


@pytest.fixture(scope="module")
def columns(orientations):
    """Two particles, and junk."""
    return Columns.of(orientations, [False, False, True])


def test_every_class_has_the_grid_and_junk_one_direction(columns, orientations):
    directions = len(orientations.frames)
    assert columns.start == (0, directions, 2 * directions, 2 * directions + 1)
    assert len(columns) == columns.start[-1]
    assert columns.number.bincount().tolist() == [directions, directions, 1]
    assert (columns.number[columns.of_class(1)] == 1).all()
    torch.testing.assert_close(columns.frames[columns.of_class(1)], orientations.frames)


def test_orientations_go_column_by_column(columns):
    every = columns.orientations()
    assert len(every) == len(columns) * columns.angles
    expected = oriented(columns.frames[7], torch.tensor(3), columns.angles)
    torch.testing.assert_close(every[7 * columns.angles + 3], expected)


@pytest.mark.parametrize("shares", [[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
def test_the_prior_sums_to_one_and_to_each_share(columns, shares):
    prior = columns.log_prior(shares).double().exp() * columns.angles
    assert float(prior.sum()) == pytest.approx(1, rel=1e-5)
    per_class = torch.zeros(3, dtype=torch.float64).index_add_(0, columns.number, prior)
    torch.testing.assert_close(per_class, torch.tensor(shares).double(), rtol=1e-5, atol=2e-9)
    assert math.isfinite(float(columns.log_prior(shares).min()))


def test_junk_looks_the_same_from_everywhere(cube):
    plain = Model(volume=cube, share=0.4).with_volume(cube)
    junk = Model(volume=cube, share=0.4, isotropic=True).with_volume(cube)
    assert plain.volume.values.equal(cube.values)
    mean = radial_mean(cube.values, torch.ones_like(cube.values))
    torch.testing.assert_close(junk.volume.values, mean)
    assert (junk.share, junk.isotropic) == (0.4, True)
