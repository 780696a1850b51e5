"""The implicit volume: positive, symmetric, trainable, the same on the grid and at points."""

import dataclasses

import pytest
import torch

from xrai.decoder import DecoderConfig, ImplicitDecoder, radial_profile
from xraisim.core import rotations, so3
from xraisim.core.errors import ConfigError
from xraisim.core.random import generator
from xraisim.core.symmetry import point_group
from xraisim.core.types import Pixels

FORMS = {
    "fourier": DecoderConfig(),
    "siren": DecoderConfig(form="siren"),
    "hash": DecoderConfig(form="hash", features=32, width=32),
}


def make(config: DecoderConfig, seed: int = 0) -> ImplicitDecoder:
    """Return a decoder whose network is far from constant, so that a lost symmetry shows."""
    profile = torch.linspace(3, -3, 20).exp()
    decoder = ImplicitDecoder(config, 100.0, 0.05, profile, generator(seed, "decoder"))
    for name, weight in decoder.named_parameters():
        if name.endswith("tables"):
            weight.data *= 100
    return decoder


@pytest.fixture(params=FORMS)
def config(request) -> DecoderConfig:
    return FORMS[request.param]


@pytest.fixture
def points() -> torch.Tensor:
    return 0.02 * torch.randn(200, 3, generator=generator(0, "points"))


def test_volume_is_positive_and_friedel_symmetric(config):
    values = make(config).volume().values
    assert float(values.min()) > 0
    assert torch.allclose(values, values.flip(0, 1, 2), rtol=1e-5)


def test_points_are_even_and_vary(config, points):
    decoder = make(config)
    with torch.no_grad():
        residual = decoder.at(points).log() - decoder.at(-points).log()
        spread = decoder.network(decoder._encode(points)).std()
    assert float(residual.abs().max()) < 1e-4
    assert float(spread) > 1e-2


@pytest.mark.parametrize("symmetry", ["C3", "D2", "O"])
def test_a_point_group_is_kept_exactly(config, points, symmetry):
    decoder = make(dataclasses.replace(config, symmetry=symmetry))
    plain = make(config)
    turns = rotations.to_matrix(point_group(symmetry)).float()
    points = points[:40]
    with torch.no_grad():
        for turn in turns[[1, -1]]:
            there = decoder.at(points @ turn.T)
            assert torch.allclose(there, decoder.at(points), rtol=1e-3)
        differs = (plain.at(points @ turns[-1].T) / plain.at(points)).log()
    assert float(differs.abs().max()) > 1e-2


def test_grid_and_points_are_one_function(config):
    decoder = make(config)
    values, half = decoder.volume().values, decoder.grid // 2
    offset = torch.tensor([[3, -2, 5], [-3, 2, -5], [0, 0, 0], [7, 1, 0]])
    with torch.no_grad():
        found = decoder.at(offset * decoder.spacing)
    expected = values[tuple((offset + half).T)]
    assert torch.allclose(found, expected, rtol=1e-4)


def test_slices_agree_either_way(config, monkeypatch):
    """On grid points, where interpolation changes nothing."""
    decoder = make(config)
    s = decoder.spacing * torch.tensor([[1.0, 2.0, 0.0], [-3.0, 0.0, 4.0]])
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turns = torch.stack([torch.eye(3), quarter])
    ways = []
    for on_grid in (True, False):
        monkeypatch.setattr(decoder, "cheaper_on_grid", lambda _, way=on_grid: way)
        ways.append(decoder(turns, s))
    assert torch.allclose(*ways, rtol=1e-3)


def test_few_samples_are_cheaper_at_points_and_many_on_the_grid(config):
    decoder = make(config)
    assert not decoder.cheaper_on_grid(10)
    assert decoder.cheaper_on_grid(100 * len(decoder.inside))


def test_gradient_reaches_every_weight(config):
    decoder = make(config)
    loss = decoder.values().log().square().mean()
    loss.backward()
    for name, weight in decoder.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().sum()) > 0, name


def test_gradient_is_that_of_the_function(config, points):
    """Against a finite difference along a random direction of all weights, in float64."""
    decoder = make(config).double()
    where = points.double()
    weights = list(decoder.parameters())
    direction = [torch.randn(w.shape, generator=generator(1, "d")).double() for w in weights]
    decoder.at(where).log().sum().backward()
    slope = sum(float((w.grad * d).sum()) for w, d in zip(weights, direction, strict=True))
    step, ends = 1e-5, []
    with torch.no_grad():
        for sign in (1, -2):
            for w, d in zip(weights, direction, strict=True):
                w += sign * step * d
            ends.append(float(decoder.at(where).log().sum()))
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=1e-4)


def test_same_seed_same_network(config):
    made = [make(config, seed).volume().values for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_slices_of_random_poses_have_gradients():
    decoder = make(DecoderConfig())
    turns = rotations.to_matrix(so3.haar(2, generator(0, "turns")))
    s = 0.02 * torch.randn(300, 3, generator=generator(0, "s"))
    decoder(turns, s).log().mean().backward()
    assert all(float(w.grad.abs().sum()) > 0 for w in decoder.parameters())


@pytest.mark.parametrize(
    "wrong",
    [{"form": "voxels"}, {"symmetry": "Q4"}, {"form": "hash", "features": 30}, {"width": 0}],
)
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ConfigError):
        DecoderConfig(**wrong)


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


def test_layers_in_bfloat16_give_nearly_the_same(config, points):
    exact, mixed = make(config), make(dataclasses.replace(config, precision="bfloat16"))
    with torch.no_grad():
        whole, half = exact.at(points).log(), mixed.at(points).log()
    assert half.dtype == torch.float32
    # Seven bits of the mantissa are kept in each of three layers.
    assert float((half - whole).abs().max()) < 0.05 * float(whole.abs().max())
    assert not torch.equal(half, whole)
