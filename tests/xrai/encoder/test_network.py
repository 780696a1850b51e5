"""The encoder: equivariant by construction, and its proposals."""

import math

import pytest
import torch

from xrai.encoder import Encoder
from xrai.encoder.network import HarmonicConvolution, interpolate
from xraisim.core.random import generator


def poisson(pixels, patterns=8):
    return torch.poisson(torch.full((patterns, len(pixels)), 2.0), generator=generator(0, "k"))


@pytest.mark.parametrize("azimuths", [12, 7])
def test_harmonic_convolution_is_a_circular_convolution(azimuths):
    torch.manual_seed(0)
    layer = HarmonicConvolution(3, 2, azimuths)
    x = torch.randn(azimuths, 4, 3)
    kernel = torch.fft.irfft(torch.view_as_complex(layer.weight.detach()), n=azimuths, dim=0)
    expected = sum(x.roll(shift, dims=0) @ kernel[shift] for shift in range(azimuths))
    assert torch.allclose(layer(x), expected, atol=1e-4)


def test_shifting_the_azimuth_shifts_the_posterior(make_pixels, small):
    torch.manual_seed(0)
    encoder = Encoder(make_pixels(64), small)
    x = torch.randn(small.azimuths, 5, encoder.pattern.channels)
    logits, shifted = (encoder.views(encoder.trunk(y)) for y in (x, x.roll(3, dims=0)))
    assert torch.allclose(logits.roll(3, dims=0), shifted, atol=1e-4)


def test_proposals_come_likeliest_first_and_do_not_depend_on_the_batch(make_pixels, small):
    torch.manual_seed(0)
    encoder = Encoder(make_pixels(64), small)
    counts = poisson(make_pixels(64), 300)
    encoder.pattern.calibrate(counts)
    found = encoder.propose(counts)
    assert found.heads.shape == (300, small.heads, 4)
    assert torch.allclose(found.heads.norm(dim=-1), torch.ones(300, small.heads), atol=1e-5)
    assert (found.probability.diff(dim=1) <= 0).all()
    assert float(found.probability.sum(1).max()) <= 1 + 1e-5
    alone = encoder.propose(counts[290:])
    assert torch.allclose(alone.probability, found.probability[290:], atol=1e-5)
    assert torch.allclose(alone.error_deg, found.error_deg[290:], atol=1e-2)


def test_blank_patterns_get_a_pose_without_nan(make_pixels, small):
    torch.manual_seed(0)
    pixels = make_pixels(33, background=0.5)
    encoder = Encoder(pixels, small)
    encoder.pattern.calibrate(poisson(pixels))
    found = encoder.propose(torch.zeros(2, len(pixels)))
    for values in (found.heads, found.probability, found.error_deg):
        assert bool(torch.isfinite(values).all())


def test_interpolation_ends_flat():
    knots, values = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([10.0, 20.0, 0.0])
    x = torch.tensor([0.0, 1.5, 3.0, 9.0])
    assert interpolate(x, knots, values).tolist() == [10.0, 15.0, 10.0, 0.0]
    assert math.isfinite(float(interpolate(x, torch.ones(3), values).sum()))
