"""The teacher: the encoder learns poses, stops and continues exactly, and states its error."""

import dataclasses
import io
from pathlib import Path

import pytest
import torch

from xrai.encoder import EncoderConfig
from xrai.encoder.training import EncoderTrainer, encoder_pixels, load
from xraisim.core import rotations, so3
from xraisim.core.errors import ConfigError, UserError
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.symmetry import angle_modulo_mate, point_group, symmetrize
from xraisim.core.types import Pixels


def measured(volume, pixels: Pixels, patterns: int, seed: int, stream: str = "measured"):
    """Return counts, poses and fluences of simulated patterns."""
    random = generator(seed, stream)
    pose = so3.haar(patterns, random)
    fluence = 0.6 + 0.8 * torch.rand(patterns, generator=random)
    cut = slice_volume(volume.values, rotations.to_matrix(pose), pixels.s, volume.spacing)
    rate = cut * pixels.gain * fluence[:, None] + pixels.background
    return torch.poisson(rate, generator=random), pose, fluence


@pytest.fixture(scope="module")
def taught(volume, make_pixels, small):
    """Return a teacher after some steps, its pixels and new patterns with their poses."""
    pixels = make_pixels(64, background=0.05)
    counts, pose, fluence = measured(volume, pixels, 600, 0)
    trainer = EncoderTrainer(pixels, small, seed=1)
    trainer.learn(volume, pixels, counts, pose, fluence, 70)
    return trainer, pixels, measured(volume, pixels, 800, 1)


def test_new_patterns_are_oriented_in_one_pass(taught):
    trainer, _, (counts, pose, _) = taught
    found = trainer.encoder.propose(counts)
    error = angle_modulo_mate(found.heads[:, 0].contiguous(), pose)
    # A random pose would be some 60° off; the cells are 20° apart.
    assert float(error.median()) < 7
    assert float(error.quantile(0.9)) < 25


def test_the_stated_error_covers(taught):
    """On patterns that it never saw, for the doubtful and the certain half alike."""
    trainer, _, (counts, pose, _) = taught
    found = trainer.encoder.propose(counts)
    error = angle_modulo_mate(found.heads[:, 0].contiguous(), pose)
    assert float(error.mean()) == pytest.approx(float(found.error_deg.mean()), rel=0.25)
    doubtful = found.error_deg > found.error_deg.median()
    for half in (doubtful, ~doubtful):
        assert float(error[half].mean()) == pytest.approx(
            float(found.error_deg[half].mean()), rel=0.35
        )
    assert float(error[doubtful].mean()) > 1.3 * float(error[~doubtful].mean())
    assert float((error < 2 * found.error_deg).float().mean()) > 0.85


def test_a_particle_with_symmetry_is_oriented_modulo_its_group(volume, make_pixels, small):
    group = point_group("D2")
    values = symmetrize(volume.values, group)
    pixels = make_pixels(64)
    particle = dataclasses.replace(volume, values=values)
    train_encoder = measured(particle, pixels, 600, 0)
    trainer = EncoderTrainer(pixels, small, seed=1, group=group)
    trainer.learn(particle, pixels, *train_encoder, 70)
    counts, pose, _ = measured(particle, pixels, 400, 1)
    found = trainer.encoder.propose(counts)
    error = angle_modulo_mate(found.heads[:, 0].contiguous(), pose, group)
    assert float(error.median()) < 7
    assert float(error.mean()) == pytest.approx(float(found.error_deg.mean()), rel=0.25)


def test_learning_in_increments_continues_bit_for_bit(volume, make_pixels, small):
    pixels = make_pixels(33)
    train_encoder = (volume, pixels, *measured(volume, pixels, 200, 0))
    whole = EncoderTrainer(pixels, small, seed=3)
    whole.learn(*train_encoder, 3)
    state = {name: _copied(value) for name, value in whole.state_dict().items()}
    expected = whole.learn(*train_encoder, 4)
    resumed = EncoderTrainer(pixels, small, seed=3)
    resumed.load_state_dict(state)
    assert resumed.learn(*train_encoder, 4) == expected
    for name, weight in whole.encoder.state_dict().items():
        assert torch.equal(resumed.encoder.state_dict()[name], weight), name


def _copied(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_a_teacher_leaves_the_global_generator_alone(volume, make_pixels, small):
    pixels = make_pixels(33)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trainer = EncoderTrainer(pixels, small, seed=3)
    trainer.learn(volume, pixels, *measured(volume, pixels, 50, 0), 1)
    assert torch.equal(torch.rand(3), expected)


def test_a_volume_that_ends_early_limits_what_is_looked_at(volume, make_pixels, small):
    pixels = make_pixels(33)
    train_encoder = measured(volume, pixels, 50, 0)
    inner = dataclasses.replace(volume, values=volume.values[6:-6, 6:-6, 6:-6].contiguous())
    trainer = EncoderTrainer(pixels, small, seed=3)
    trainer.learn(inner, pixels, *train_encoder, 1)
    assert float(trainer.encoder.pattern.limit) == pytest.approx(9 * volume.spacing)
    trainer.learn(volume, pixels, *train_encoder, 1)
    assert float(trainer.encoder.pattern.limit) == pytest.approx(float(pixels.radius[-1]))


def test_weights_of_another_detector_are_refused(taught, make_pixels, small):
    trainer, _, _ = taught
    other = EncoderTrainer(make_pixels(64, mask=False), small, seed=1)
    with pytest.raises(UserError, match="another detector geometry"):
        load(other.encoder, trainer.encoder.state_dict())


def test_encoder_pixels_end_at_its_reach(make_pixels, small):
    pixels = make_pixels(64)
    inner = encoder_pixels(pixels, 200.0, dataclasses.replace(small, reach=4.0))
    assert float(inner.radius[-1]) <= 0.02 < float(pixels.radius[len(inner)])


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"encoder.synthetic is 2.0; expected 0 to 1"):
        EncoderConfig(synthetic=2.0)


def test_two_processes_learn_what_one_learns(torchrun, tmp_path):
    """Each takes shares of the same batches; torch averages the gradients."""
    worker = Path(__file__).with_name("train_in_processes.py")
    for count in (1, 2):
        out = tmp_path / str(count)
        out.mkdir()
        done = torchrun(count, worker, out)
        assert done.returncode == 0, done.stderr
    alone, leader, other = (torch.load(tmp_path / name) for name in ("1/0.pt", "2/0.pt", "2/1.pt"))
    for name, weight in alone.items():
        assert torch.equal(leader[name], other[name]), name
        torch.testing.assert_close(leader[name], weight, rtol=1e-2, atol=3e-3)
