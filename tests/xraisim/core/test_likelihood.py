"""Pose likelihoods against direct Poisson sums, derivatives against differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from scipy.stats import poisson

from xraisim.core import rotations, so3
from xraisim.core.likelihood import (
    candidate_loglik,
    candidate_loglik_reference,
    pose_scores,
    pose_scores_reference,
)
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.search import grid_loglik, log_templates


@pytest.fixture(params=["clean", "noisy"])
def experiment(request):
    return request.getfixturevalue(request.param)


def nearby(experiment, copies=3, sigma=0.05):
    return so3.perturb(experiment.poses, copies, sigma, generator(0, "near"))


def test_fast_loglik_equals_reference(experiment):
    arguments = (experiment.volume, experiment.pixels, experiment.photons, nearby(experiment))
    value, fluence = candidate_loglik(*arguments)
    expected, expected_fluence = candidate_loglik_reference(*arguments)
    assert torch.allclose(value, expected, rtol=1e-6, atol=1e-2)
    assert torch.allclose(fluence, expected_fluence, rtol=1e-4)


def profiled_maximum(k, w, b):
    """Return (maximum, fluence) of Σ log Poisson(k; φw + b), less the constants log k! and b."""

    def negative(phi):
        return -(poisson.logpmf(k, phi * w + b) + gammaln(k + 1) + b).sum()

    best = minimize_scalar(negative, bounds=(0.05, 60), method="bounded")
    return -best.fun, best.x


def test_loglik_is_the_poisson_maximum_over_fluence(experiment):
    """An independent one-dimensional optimiser over scipy's Poisson finds the same maximum."""
    poses = nearby(experiment, copies=2)[:5]
    value, fluence = candidate_loglik(
        experiment.volume, experiment.pixels, experiment.photons.take(np.arange(5)), poses
    )
    pixels, k = experiment.pixels, experiment.photons.dense(len(experiment.pixels))[:5].numpy()
    for i in range(5):
        matrix = rotations.to_matrix(poses[i])
        w = slice_volume(experiment.volume.values, matrix, pixels.s, experiment.volume.spacing)
        w, b = (w * pixels.gain).double().numpy(), pixels.background.double().numpy()
        top = [profiled_maximum(k[i], row, b) for row in w]
        expected = np.array(top)
        assert np.allclose(value[i].numpy(), expected[:, 0], atol=0.05)
        assert np.allclose(fluence[i].numpy(), expected[:, 1], rtol=0.02)


def test_profiled_fluence_recovers_the_truth(experiment):
    _, fluence = candidate_loglik(
        experiment.volume, experiment.pixels, experiment.photons, experiment.poses[:, None]
    )
    ratio = fluence[:, 0].float() / experiment.fluence
    assert float((ratio - 1).abs().mean()) < 0.12
    assert float(ratio.mean()) == pytest.approx(1, abs=0.04)


def test_fast_scores_equal_reference(experiment):
    poses = nearby(experiment, 1)[:, 0].contiguous()
    arguments = (experiment.volume, experiment.pixels, experiment.photons, poses)
    fast, plain = pose_scores(*arguments), pose_scores_reference(*arguments)
    assert torch.allclose(fast.value, plain.value, rtol=1e-6, atol=1e-2)
    scale = float(plain.fisher.abs().max())
    assert torch.allclose(fast.gradient, plain.gradient, atol=1e-4 * scale)
    assert torch.allclose(fast.fisher, plain.fisher, atol=1e-4 * scale)


def test_gradient_is_the_derivative_of_the_loglik(experiment):
    """Central differences of the likelihood in double precision along each rotation axis."""
    pixels, volume = experiment.pixels, experiment.volume
    volume = replace(volume, values=volume.values.double())
    pixels = replace(pixels, s=pixels.s.double(), gain=pixels.gain.double())
    poses = nearby(experiment, 1)[:, 0].double().contiguous()
    photons = experiment.photons
    gradient = pose_scores_reference(volume, pixels, photons, poses).gradient
    step = 1e-6
    for axis in range(3):
        turn = torch.zeros(2, 3, dtype=torch.float64)
        turn[0, axis], turn[1, axis] = step, -step
        pair = rotations.multiply(poses[:, None], rotations.from_rotation_vector(turn))
        value, _ = candidate_loglik_reference(volume, pixels, photons, pair)
        difference = (value[:, 0] - value[:, 1]) / (2 * step)
        # A pixel may sit on the kink between two voxels: the median is spared those patterns.
        error = (difference - gradient[:, axis]).abs().median() / gradient[:, axis].abs().mean()
        assert float(error) < 1e-3


def test_fisher_information_is_the_variance_of_the_score(clean):
    """At the true pose the score has mean zero and covariance F; F⁻¹-whitened it is standard."""
    found = pose_scores(clean.volume, clean.pixels, clean.photons, clean.poses)
    whitened = torch.einsum(
        "ni,nij,nj->n", found.gradient, torch.linalg.inv(found.fisher), found.gradient
    )
    # χ² with 3 degrees of freedom: mean 3, standard error √(6/60).
    assert float(whitened.mean()) == pytest.approx(3, abs=1.3)


def test_pixels_beyond_the_cut_do_not_count(clean):
    inner = clean.pixels.first(100)
    value, _ = candidate_loglik(clean.volume, inner, clean.photons, clean.poses[:, None])
    expected, _ = candidate_loglik_reference(
        clean.volume, inner, clean.photons, clean.poses[:, None]
    )
    assert torch.allclose(value, expected, rtol=1e-6, atol=1e-2)


def test_grid_search_ranks_as_the_exact_likelihood(clean):
    grid = torch.cat([clean.poses[:5], so3.super_fibonacci(50)])
    counts = clean.photons.dense(len(clean.pixels))
    product = grid_loglik(counts, log_templates(clean.volume, clean.pixels, grid))
    exact, _ = candidate_loglik(
        clean.volume, clean.pixels, clean.photons, grid[None].expand(60, -1, -1).contiguous()
    )
    # Without background the two differ by a constant per pattern.
    difference = exact - product
    assert float((difference - difference.mean(1, keepdim=True)).abs().max()) < 0.05
    assert (product.argmax(1)[:5] == torch.arange(5)).all()
