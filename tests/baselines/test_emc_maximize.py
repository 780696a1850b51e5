"""The M-step is a maximum: gradients of the expected log-likelihood vanish, and it never falls."""

import pytest
import torch

from baselines.emc.compress import compress
from baselines.emc.expand import Templates, log_likelihood, posterior
from baselines.emc.maximize import Tomograms, update_fluence
from xraisim.core import rotations, so3
from xraisim.core.merge import intensity_grid
from xraisim.core.types import Pixels

PATTERNS, PIXELS, ROTATIONS = 40, 30, 6


def _case(background):
    """Another guess at the templates, and patterns of them at unequal fluence."""
    draw = torch.Generator().manual_seed(4)
    truth = 1 + 5 * torch.rand(ROTATIONS, PIXELS, generator=draw)
    fluence = 0.5 + torch.rand(PATTERNS, generator=draw)
    b = torch.full((PIXELS,), background)
    mean = fluence[:, None] * truth[torch.arange(PATTERNS) % ROTATIONS] + b
    guess = truth * (0.5 + torch.rand(truth.shape, generator=draw))
    return guess, Templates.of(guess.clone(), b), torch.poisson(mean, generator=draw), fluence


def _expectations(templates, counts, fluence):
    """The expected log-likelihood of signal photons, as a function of (rates, fluence), float64."""
    found = posterior(log_likelihood(templates, counts, fluence), 1.0, 1e-6)
    probability = found.probability.to_dense()
    share = templates.signal_share(float(fluence.mean()))

    def value(rate, phi):
        signal = counts[:, None] * (1 if share is None else share)
        expected = phi[:, None, None] * rate
        each = torch.xlogy(signal.double(), expected) - expected
        return (probability.double()[:, :, None] * each).sum()

    return found, share, value


@pytest.mark.parametrize("background", [0.0, 0.7])
def test_tomograms_maximise_the_expected_log_likelihood(background):
    guess, templates, counts, fluence = _case(background)
    found, share, value = _expectations(templates, counts, fluence)
    sums = Tomograms.empty(ROTATIONS, PIXELS, "cpu")
    sums.add(found.probability, counts, fluence, share)
    rate = (sums.photons / sums.exposure[:, None]).double().requires_grad_()
    (slope,) = torch.autograd.grad(value(rate, fluence.double()), rate)
    assert slope.abs().max() < 1e-4 * sums.exposure.max()
    with torch.no_grad():
        assert value(rate, fluence.double()) > value(guess.double(), fluence.double())


@pytest.mark.parametrize("background", [0.0, 0.7])
def test_fluences_maximise_the_expected_log_likelihood(background):
    guess, templates, counts, fluence = _case(background)
    found, share, value = _expectations(templates, counts, fluence)
    phi = update_fluence(templates, found, counts, share).double().requires_grad_()
    (slope,) = torch.autograd.grad(value(guess.double(), phi), phi)
    assert slope.abs().max() < 1e-4 * counts.sum(1).max()


@pytest.mark.parametrize("background", [0.0, 0.7])
def test_known_templates_give_back_known_fluences(background):
    draw = torch.Generator().manual_seed(9)
    rate = 20 + 100 * torch.rand(ROTATIONS, 400, generator=draw)
    b = torch.full((400,), 20 * background)
    truth = 0.9 + 0.2 * torch.rand(PATTERNS, generator=draw)
    mean = truth[:, None] * rate[torch.arange(PATTERNS) % ROTATIONS] + b
    counts, fluence = torch.poisson(mean, generator=draw), torch.ones(PATTERNS)
    templates = Templates.of(rate, b)
    for _ in range(6):
        found = posterior(log_likelihood(templates, counts, fluence), 1.0, 1e-6)
        share = templates.signal_share(float(fluence.mean()))
        fluence = update_fluence(templates, found, counts, share)
    assert (fluence / truth - 1).abs().max() < 0.04
    assert (fluence / truth - 1).mean().abs() < 0.01


def test_plain_em_never_lowers_the_likelihood():
    _, templates, counts, fluence = _case(0.0)
    history = []
    for _ in range(12):
        found = posterior(log_likelihood(templates, counts, fluence), 1.0, 1e-6)
        history.append(float(found.evidence.mean()))
        fluence = update_fluence(templates, found, counts)
        sums = Tomograms.empty(ROTATIONS, PIXELS, "cpu")
        sums.add(found.probability, counts, fluence)
        rate = (sums.photons / sums.exposure[:, None].clamp_min(1e-9)).clamp_min(1e-9)
        templates = Templates.of(rate, torch.zeros(PIXELS))
    steps = torch.tensor(history).diff()
    assert (steps > -1e-3).all()
    assert history[-1] > history[0] + 1


def test_sparse_and_dense_posteriors_sum_alike():
    draw = torch.Generator().manual_seed(5)
    probability = torch.rand(9, ROTATIONS, generator=draw)
    probability = probability * (probability > 0.6)
    counts = torch.rand(9, PIXELS, generator=draw).round()
    sums = []
    for form in (probability, probability.to_sparse()):
        sums.append(Tomograms.empty(ROTATIONS, PIXELS, "cpu"))
        sums[-1].add(form, counts, torch.ones(9))
    torch.testing.assert_close(sums[0].photons, sums[1].photons)
    torch.testing.assert_close(sums[0].exposure, sums[1].exposure)


def test_compress_recovers_a_radial_volume_in_electrons_squared():
    """Tomograms of V(s) = f(|s|) at any gain give f back, Friedel-symmetric."""
    draw = torch.Generator().manual_seed(6)
    s = 0.01 * torch.rand(300, 3, generator=draw) - 0.005
    s = s[s.norm(dim=1).argsort()]
    gain = 0.5 + torch.rand(300, generator=draw)
    pixels = Pixels(
        s=s, gain=gain, background=torch.zeros(300), index=torch.arange(300), shape=(20, 15)
    )
    grid = intensity_grid(float(s.norm(dim=1).max()), 200.0, 3.0)
    matrix = rotations.to_matrix(so3.super_fibonacci(50))
    w = gain * (1000 - 8e4 * s.norm(dim=1))
    exposure = torch.arange(50.0)
    sums = Tomograms(photons=exposure[:, None] * w, exposure=exposure)
    volume = compress(sums, pixels, matrix, grid, 0.02)
    centre = grid[0] // 2
    axis = (torch.arange(grid[0]) - centre) * grid[1]
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    seen = (radius > 0.001) & (radius < 0.005)
    error = volume.values[seen] / (1000 - 8e4 * radius[seen]) - 1
    assert error.abs().max() < 0.05
    torch.testing.assert_close(volume.values, volume.values.flip(0, 1, 2))
