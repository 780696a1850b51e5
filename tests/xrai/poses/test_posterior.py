"""Drawn poses: their distribution is the posterior, summed directly over a grid of rotations."""

import math

import numpy as np
import pytest
import torch

from tests.xraisim.core.conftest import draw_experiment
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.posterior import Posterior
from xrai.poses.refine import NewtonSteps, refine
from xraisim.core import rotations, so3
from xraisim.core.likelihood import candidate_loglik
from xraisim.core.random import generator

_COPIES = 3000
_GRID = 17  # points per axis of the rotation vectors over which the posterior is summed


@pytest.fixture(scope="module")
def faint():
    return draw_experiment(8, brightness=1.5)


def posterior_of(given, start, copies, reach=6.0):
    """Return the posterior of copies of the first pattern, with a mode refined from each start."""
    photons = given.photons.take(np.zeros(copies, int))
    likelihood, steps = PoseLikelihood(given.volume, given.pixels, photons), NewtonSteps(12, 0.3)
    modes = [refine(likelihood, one[None].expand(copies, 4), steps) for one in start]
    # Mates are told apart, or they would count as modes too.
    far = torch.full_like(modes[0].loglik, 50.0)
    modes = [type(mode)(mode.quaternion, mode.loglik, mode.error_rad, far) for mode in modes]
    return Posterior(likelihood, modes, reach)


def summed_directly(given, centre, reach):
    """Return rotation vectors about a pose, and their posterior weights."""
    axis = torch.linspace(-reach, reach, _GRID)
    turn = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    pose = rotations.multiply(centre.expand(len(turn), 4), rotations.from_rotation_vector(turn))
    first = given.photons.take(np.zeros(1, int))
    loglik, _ = candidate_loglik(given.volume, given.pixels, first, pose[None])
    return turn, loglik[0]


def vector_to(centre, pose):
    """Return rotation vectors from a pose to others."""
    turn = rotations.multiply(rotations.conjugate(centre).expand_as(pose), pose)
    turn = turn * torch.where(turn[:, :1] < 0, -1.0, 1.0)
    return (
        2 * turn[:, 1:] / torch.sinc(rotations.angle_between(centre, pose) / 2 / math.pi)[:, None]
    )


def test_draws_are_distributed_as_the_posterior(faint):
    posterior = posterior_of(faint, faint.poses[:1], _COPIES)
    mode = posterior.modes[0]
    centre, error = mode.quaternion[0], float(mode.error_rad[0])
    found = vector_to(centre, posterior.draw(generator(1, "draw")))
    turn, loglik = summed_directly(faint, centre, 3 * error)
    weight = loglik.softmax(0).float()
    mean = weight @ turn
    spread = (weight @ (turn - mean).square()).sqrt()
    assert torch.allclose(found.mean(0), mean, atol=0.12 * error)
    assert torch.allclose(found.std(0), spread, rtol=0.15)


def test_modes_are_drawn_as_often_as_they_are_probable(faint):
    poses = faint.poses[:1]
    posterior = posterior_of(faint, torch.cat([poses, so3.in_plane_mate(poses)]), _COPIES)
    first, second = (mode.quaternion[0] for mode in posterior.modes)
    evidence = [
        summed_directly(faint, mode.quaternion[0], 3 * float(mode.error_rad[0]))[1].logsumexp(0)
        + 3 * mode.error_rad[0].log()
        for mode in posterior.modes
    ]
    expected = float(torch.stack(evidence).softmax(0)[0])
    drawn = posterior.draw(generator(2, "draw"))
    nearer = rotations.angle_between(drawn, first) < rotations.angle_between(drawn, second)
    assert float(nearer.double().mean()) == pytest.approx(expected, abs=0.06)
    assert 0.02 < expected < 0.98


def test_where_the_posterior_is_sharp_the_likeliest_is_taken(faint):
    posterior = posterior_of(faint, faint.poses[:1], 5, reach=1e-3)
    assert torch.equal(posterior.draw(generator(3, "draw")), posterior.modes[0].quaternion)


def test_modes_that_are_the_same_count_once(faint):
    once = posterior_of(faint, faint.poses[:1], _COPIES)
    twice = posterior_of(faint, faint.poses[:1].repeat(2, 1), _COPIES)
    assert torch.equal(twice.draw(generator(4, "draw")), once.draw(generator(4, "draw")))


def test_the_likeliest_is_taken_pattern_by_pattern(faint):
    posterior = posterior_of(faint, faint.poses[:2], 3)
    first, second = posterior.modes
    first.loglik[1] = -math.inf
    assert torch.equal(posterior.likeliest.quaternion[1], second.quaternion[1])
    assert float(posterior.likeliest.loglik.min()) > -math.inf
