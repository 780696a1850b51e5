"""Mode paper: the symmetric loss, gradients through the slice alone, and a short run."""

import copy
import json
import math

import pytest
import torch

from xrai.config import DecoderConfig
from xrai.decoder import ImplicitDecoder
from xrai.encoder.config import EndToEndConfig
from xrai.encoder.image import ImageEncoder
from xrai.rounds.end_to_end import EndToEnd, likeliest_start, spread, symmetric_loss
from xrai.sources.stream import PatternStream
from xrai.state.monitor import Monitor
from xraisim.core import rotations, so3
from xraisim.core.errors import ConfigError
from xraisim.core.likelihood import photon_nll
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Pixels


@pytest.fixture
def pixels() -> Pixels:
    index = torch.arange(24 * 24)
    s = torch.stack([index % 24 - 11.5, index // 24 - 11.5, 0.0 * index], 1) * 2e-3
    s[:, 2] = -2 * s[:, :2].square().sum(1)
    order = s.norm(dim=1).argsort(stable=True)
    order = order[s[order].norm(dim=1) < 0.024]
    one = torch.ones(len(order))
    return Pixels(s=s[order], gain=one, background=0 * one, index=index[order], shape=(24, 24))


@pytest.fixture
def networks(pixels) -> tuple[ImageEncoder, ImplicitDecoder, torch.Tensor]:
    torch.manual_seed(0)
    profile = torch.linspace(3, 0, 20).exp()
    decoder = ImplicitDecoder(
        DecoderConfig(features=16, width=32), 100.0, 0.03, profile, generator(0, "decoder")
    )
    counts = torch.poisson(torch.full((6, len(pixels)), 4.0), generator=generator(0, "counts"))
    encoder = ImageEncoder(pixels, 8)
    encoder.image.calibrate(counts)
    return encoder, decoder, counts


def test_the_better_of_a_pattern_and_its_turned_copy_counts(pixels, networks):
    encoder, decoder, counts = networks
    found = symmetric_loss(encoder, decoder, pixels, counts)
    image = encoder.image(counts)
    half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    poses = [encoder(image)[0][:, 0], half_turn @ encoder(image.flip(-1, -2))[0][:, 0]]
    each = [
        photon_nll(
            counts,
            slice_volume(decoder.values(), pose.contiguous(), pixels.s, decoder.spacing),
            pixels.background,
        )
        for pose in poses
    ]
    assert torch.allclose(found, torch.minimum(*each), atol=1e-6)
    assert float((each[0] - each[1]).detach().abs().max()) > 1e-4


def test_turning_a_pattern_by_half_a_turn_changes_nothing(pixels, networks):
    """The pattern turned about the beam swaps with its copy: the loss is the same."""
    encoder, decoder, counts = networks
    place = {
        (round(float(x) * 1e3), round(float(y) * 1e3)): p for p, (x, y, _) in enumerate(pixels.s)
    }
    opposite = torch.tensor([place[-x, -y] for x, y in place])
    encoder.image.mean.zero_()
    encoder.image.deviation.fill_(1.0)
    one = symmetric_loss(encoder, decoder, pixels, counts)
    other = symmetric_loss(encoder, decoder, pixels, counts[:, opposite])
    assert torch.allclose(one, other, atol=1e-4)


def test_gradients_reach_both_networks(pixels, networks):
    encoder, decoder, counts = networks
    symmetric_loss(encoder, decoder, pixels, counts).mean().backward()
    # The logit of a lone head tells nothing.
    chosen = [*encoder.trunk.parameters(), *encoder.pose.parameters(), *decoder.parameters()]
    assert all(float(weight.grad.abs().sum()) > 0 for weight in chosen)


def _learner(stream: PatternStream, epochs: int = 2) -> EndToEnd:
    config = EndToEndConfig(reach=3.0, batch=90, epochs=epochs, channels=8)
    decoder = DecoderConfig(features=16, width=32)
    return EndToEnd(stream, config, torch.device("cpu"), decoder=decoder, seed=1)


def test_a_run_learns_and_one_that_was_stopped_ends_alike(patterns, tmp_path):
    monitor = Monitor(tmp_path / "1.jsonl", quiet=True)
    with PatternStream(patterns, 400, 1.0) as stream:
        learner, other = _learner(stream), _learner(stream)
        learner.one_pass(monitor)
        other.load_state_dict(copy.deepcopy(learner.state_dict()))
        poses = [one.one_pass(monitor) for one in (learner, other)]
    assert torch.equal(*poses)
    assert torch.equal(*(one.decoder.values() for one in (learner, other)))
    assert poses[0].shape == (900, 4)
    assert torch.allclose(poses[0].norm(dim=1), torch.ones(900), atol=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "1.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines] == [1, 2, 2]
    assert lines[1]["nll_per_photon"] < lines[0]["nll_per_photon"]


def test_networks_have_rates_of_their_own_which_fall_to_zero(patterns):
    with PatternStream(patterns, 400, 1.0) as stream:
        learner = _learner(stream)
        counts = next(stream.blocks())[1].dense(len(learner.pixels))
        before = copy.deepcopy(learner.state_dict())
        learner.step(counts[:90], 2.0)  # at the end of all passes
        after = learner.state_dict()
        for name in ("encoder", "decoder"):
            assert all(torch.equal(after[name][key], one) for key, one in before[name].items())
        learner.step(counts[:90], 1.0)
        rates = [group["lr"] for group in learner.state_dict()["optimizer"]["param_groups"]]
    assert rates == pytest.approx([5e-4, 1.5e-3])


def test_spread_tells_collapse_from_uniform():
    one = so3.haar(1, generator(0, "pose"))
    assert spread(one.expand(50, 4)) == pytest.approx(0, abs=1e-5)
    assert spread(so3.haar(4000, generator(1, "pose"))) > 0.98
    turns = torch.zeros(360, 3)
    turns[:, 2] = torch.arange(360) * math.pi / 180
    # One view direction, all in-plane angles: one axis of three is left in the mean.
    about = rotations.from_rotation_vector(turns)
    assert spread(about) == pytest.approx(2 / 3, abs=1e-4)


def test_settings_must_be_positive():
    with pytest.raises(ConfigError, match=r"end_to_end.epochs is 0; expected"):
        EndToEndConfig(epochs=0)


def test_the_loss_reaches_farther_as_it_learns(patterns):
    config = EndToEndConfig(reach=3.0, first_reach=1.5, batch=90, epochs=4, channels=4)
    with PatternStream(patterns, 400, 1.0) as stream:
        learner = EndToEnd(stream, config, torch.device("cpu"))
        counts = next(stream.blocks())[1].dense(len(learner.pixels))
        reached = []
        for passes in (0.0, 1.0, 2.0, 3.0):
            learner.step(counts[:90], passes)
            reached.append(learner._within_reach(passes))
    radius = learner.pixels.radius * stream.diameter_angstrom
    assert reached[:2] == [int((radius <= reach).sum()) for reach in (1.5, 2.25)]
    assert reached[2:] == [len(learner.pixels)] * 2


def test_the_likeliest_of_several_starts_goes_on(patterns, tmp_path):
    config = EndToEndConfig(reach=3.0, batch=90, channels=8, restarts=3, restart_patterns=400)
    path, cpu = tmp_path / "1.jsonl", torch.device("cpu")
    with PatternStream(patterns, 400, 1.0) as stream:
        chosen = likeliest_start(stream, config, cpu, Monitor(path, quiet=True), seed=1)
        nll = [json.loads(line)["nll_per_photon"] for line in path.read_text().splitlines()]
        assert len(set(nll)) == 3
        other = EndToEnd(stream, config, cpu, seed=1 + (nll.index(min(nll)) << 32))
        other.learn(400, "alone", Monitor(None, quiet=True))
    assert chosen.passes == 0
    assert torch.equal(chosen.decoder.values(), other.decoder.values())
