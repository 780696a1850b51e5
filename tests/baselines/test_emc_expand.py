"""The E-step against Poisson probabilities computed one by one."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from baselines.emc.expand import (
    Templates,
    expand,
    log_likelihood,
    normalise_rows_reference,
    posterior,
)
from baselines.emc.posterior_kernels import normalise_rows
from xraisim.core import rotations, so3
from xraisim.core.types import Pixels, Volume

PATTERNS, PIXELS, ROTATIONS = 7, 50, 11


def _case(background, fluence):
    """Rates [R, P] and background [P], and counts drawn from them."""
    draw = torch.Generator().manual_seed(3)
    rate = 0.2 + 3 * torch.rand(ROTATIONS, PIXELS, generator=draw)
    b = background * (1 + torch.rand(PIXELS, generator=draw))
    mean = rate[torch.arange(len(fluence)) % ROTATIONS] * fluence[:, None] + b
    return rate, b, torch.poisson(mean, generator=draw)


def _direct(rate, background, counts, fluence):
    """log Poisson(k; φw + b) summed over pixels, plus the constant Σ log k!."""
    k, b = counts.double().numpy(), background.double().numpy()
    out = np.empty((len(k), ROTATIONS))
    for i, phi in enumerate(fluence.double().numpy()):
        for r, w in enumerate(rate.double().numpy()):
            out[i, r] = stats.poisson.logpmf(k[i], phi * w + b).sum()
        out[i] += sum(math.lgamma(x + 1) for x in k[i])
    return out


@pytest.mark.parametrize("background", [0.0, 0.5])
def test_log_likelihood_is_the_poisson_sum(background):
    spread = 0.6 + 0.1 * torch.arange(PATTERNS)
    fluence = spread if background == 0 else torch.full((PATTERNS,), 0.8)
    rate, b, counts = _case(background, fluence)
    found = log_likelihood(Templates.of(rate.clone(), b), counts, fluence).numpy()
    np.testing.assert_allclose(found, _direct(rate, b, counts, fluence), rtol=2e-5, atol=2e-3)


def test_unequal_fluences_over_background_are_nearly_right():
    """A class 10 % wide in φ: differences between rotations hold to 10 %."""
    fluence = torch.linspace(0.95, 1.05, PATTERNS)
    rate, b, counts = _case(0.5, fluence)
    found = log_likelihood(Templates.of(rate.clone(), b), counts, fluence).numpy()
    direct = _direct(rate, b, counts, fluence)
    contrast = direct.std(1).mean()
    centred = (found - found.mean(1, keepdims=True)) - (direct - direct.mean(1, keepdims=True))
    assert np.abs(centred).max() < 0.1 * contrast
    assert np.abs(found - direct).max() < 0.2 * contrast


def test_templates_are_gain_times_the_slice():
    draw = torch.Generator().manual_seed(0)
    s = 0.01 * torch.randn(40, 3, generator=draw)
    gain = torch.rand(40, generator=draw)
    pixels = Pixels(
        s=s, gain=gain, background=torch.zeros(40), index=torch.arange(40), shape=(8, 5)
    )
    grid = torch.stack(torch.meshgrid(*[torch.arange(-10, 11) * 0.005] * 3, indexing="ij"), -1)
    linear = 100 + grid @ torch.tensor([300.0, -200.0, 500.0])
    volume = Volume(values=linear, spacing=0.005, kind="intensity")
    matrix = rotations.to_matrix(so3.haar(5, draw))
    templates = expand(volume, pixels, matrix)
    rotated = torch.einsum("rji,pj->rpi", matrix, s)
    exact = gain * (100 + rotated @ torch.tensor([300.0, -200.0, 500.0]))
    torch.testing.assert_close(templates.rate.exp(), exact, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(templates.exposure, exact.sum(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spread", [1.0, 400.0])
def test_posterior_is_the_tempered_softmax(spread):
    """The wider spread leaves few entries, so that the sparse form is tested too."""
    draw = torch.Generator().manual_seed(1)
    loglik = 1000 + spread * torch.randn(PATTERNS, 200, generator=draw)
    beta = 0.7
    exact = torch.softmax(beta * loglik.double(), 1)
    found = posterior(loglik.clone(), beta, 1e-6)
    assert found.probability.is_sparse == (spread > 100)
    dense = found.probability.to_dense() if found.probability.is_sparse else found.probability
    torch.testing.assert_close(dense.double(), exact, rtol=1e-3, atol=2e-5)
    torch.testing.assert_close(found.best, loglik.argmax(1))
    torch.testing.assert_close(found.occupancy, exact.max(1).values, rtol=1e-3, atol=1e-5)
    evidence = (torch.logsumexp(beta * loglik.double(), 1) - math.log(200)) / beta
    torch.testing.assert_close(found.evidence, evidence, rtol=1e-5, atol=1e-2)
    information = math.log(200) - torch.special.entr(exact).sum(1)
    torch.testing.assert_close(found.information, information, rtol=1e-3, atol=1e-3)


def test_kernel_and_plain_form_agree():
    draw = torch.Generator().manual_seed(2)
    loglik = 20 * torch.randn(13, 300, generator=draw)
    a, b = loglik.clone(), loglik.clone()
    best, found = normalise_rows(a.numpy(), np.float32(0.4), np.float32(math.log(1e-6)))
    best_plain, found_plain = normalise_rows_reference(b, 0.4, math.log(1e-6))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)
    assert (best == best_plain.numpy()).all()
    np.testing.assert_allclose(found, found_plain.numpy(), rtol=1e-4, atol=1e-4)
