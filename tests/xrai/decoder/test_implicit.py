"""The implicit volume: positive, Friedel-symmetric, trainable."""

import pytest
import torch

from xrai.config import DecoderConfig
from xrai.decoder import ImplicitDecoder, radial_profile
from xraisim.core.random import generator
from xraisim.core.types import Pixels


@pytest.fixture
def decoder() -> ImplicitDecoder:
    profile = torch.linspace(3, -3, 20).exp()
    return ImplicitDecoder(DecoderConfig(), 100.0, 0.05, profile, generator(0, "decoder"))


def test_volume_is_positive_and_friedel_symmetric(decoder):
    values = decoder.volume().values
    assert float(values.min()) > 0
    assert torch.allclose(values, values.flip(0, 1, 2), rtol=1e-5)


def test_grid_values_equal_the_network_at_points(decoder):
    """The mirrored half ball is the same function as the network evaluated everywhere."""
    size, half = decoder.grid, decoder.grid // 2
    offset = torch.tensor([[3, -2, 5], [-3, 2, -5]])
    flat = ((offset[:, 0] + half) * size + offset[:, 1] + half) * size + offset[:, 2] + half
    known = {int(v): row for row, v in enumerate(decoder.inside)}
    row = next(known[int(v)] for v in flat if int(v) in known)
    residual = decoder.network(decoder.features[row])[0].detach()
    expected = float(torch.exp(decoder.base.reshape(-1)[flat[0]] + residual))
    for corner in flat:
        assert float(decoder.volume().values.reshape(-1)[corner]) == pytest.approx(
            expected, rel=1e-5
        )


def test_gradient_reaches_every_weight(decoder):
    decoder().log().square().mean().backward()
    for name, weight in decoder.network.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().sum()) > 0, name


def test_same_seed_same_network():
    profile = torch.ones(20)
    made = [
        ImplicitDecoder(DecoderConfig(), 100.0, 0.05, profile, generator(seed, "decoder")).volume()
        for seed in (1, 1, 2)
    ]
    assert torch.equal(made[0].values, made[1].values)
    assert not torch.equal(made[0].values, made[2].values)


def test_radial_profile_undoes_gain_and_background():
    radius = torch.arange(1, 30) * 0.001
    pixels = Pixels(
        s=torch.stack([radius, torch.zeros(29), torch.zeros(29)], 1),
        gain=torch.linspace(0.5, 2.0, 29),
        background=torch.full((29,), 3.0),
        index=torch.arange(29),
        shape=(1, 29),
    )
    intensity = 100 * torch.exp(-radius / 0.01)
    profile = radial_profile(intensity * pixels.gain + 3.0, pixels, 0.001, 40)
    assert torch.allclose(profile[1:30], intensity, rtol=1e-4)
    assert float(profile[35]) == pytest.approx(0.5 * float(intensity[-1]), rel=1e-4)
