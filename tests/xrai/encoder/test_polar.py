"""The polar pattern: any detector gives the same rings, fluence and background do not show."""

import math

import pytest
import torch

from xrai.encoder.polar import PolarPattern, pixel_pitch
from xraisim.core import rotations, so3
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume

RINGS, AZIMUTHS = 10, 16


def rates(volume, pixels, pose):
    cut = slice_volume(volume.values, rotations.to_matrix(pose), pixels.s, volume.spacing)
    return cut * pixels.gain


@pytest.mark.parametrize("width", [33, 64, 128, 256])
def test_the_same_cells_whatever_the_detector(make_pixels, volume, width):
    """Coarse pixels are interpolated, fine ones binned: without noise the rings agree."""
    pose = so3.haar(60, generator(0, "pose"))
    seen = []
    for pixels in (make_pixels(128, mask=False), make_pixels(width)):
        pattern = PolarPattern(pixels, RINGS, AZIMUTHS)
        counts = rates(volume, pixels, pose)
        pattern.calibrate(counts)
        seen.append(pattern(counts))
    assert seen[1].shape == (60, AZIMUTHS, 2 * RINGS)
    correlation = torch.corrcoef(torch.stack([s.flatten() for s in seen]))[0, 1]
    assert float(correlation) > (0.85 if width == 33 else 0.93)


def test_fluence_and_background_do_not_show(make_pixels, volume):
    pose = so3.haar(30, generator(0, "pose"))
    pixels = make_pixels(64)
    pattern = PolarPattern(pixels, RINGS, AZIMUTHS)
    counts = rates(volume, pixels, pose)
    pattern.calibrate(counts)
    assert torch.allclose(pattern(3 * counts), pattern(counts), atol=1e-3)
    lit = make_pixels(64, background=0.4)
    over_background = PolarPattern(lit, RINGS, AZIMUTHS)
    over_background.load_state_dict(pattern.state_dict())
    noisy = over_background(2 * counts + lit.background)
    assert torch.allclose(noisy, pattern(counts), atol=1e-2)


def test_a_turn_about_the_beam_is_a_circular_shift(make_pixels, volume):
    pose = so3.haar(40, generator(0, "pose"))
    angle = torch.tensor([0.0, 0.0, 3 * math.pi / AZIMUTHS])
    turned = rotations.multiply(rotations.from_rotation_vector(angle).expand(40, 4), pose)
    pixels = make_pixels(128)
    pattern = PolarPattern(pixels, RINGS, AZIMUTHS)
    counts = rates(volume, pixels, pose)
    pattern.calibrate(counts)
    shifted = pattern(counts).roll(3, dims=1)
    difference = (pattern(rates(volume, pixels, turned)) - shifted).square().mean().sqrt()
    assert float(difference) < 0.3  # standard deviations; an unturned pattern differs by 1.2
    assert float((pattern(counts) - shifted).square().mean().sqrt()) > 0.9


def test_rings_beyond_the_limit_are_not_looked_at(make_pixels, volume):
    pixels = make_pixels(64)
    pattern = PolarPattern(pixels, RINGS, AZIMUTHS)
    counts = rates(volume, pixels, so3.haar(30, generator(0, "pose")))
    pattern.calibrate(counts, limit=0.02)
    outside = counts.clone()
    outside[:, pixels.radius > 0.024] += 5
    assert torch.equal(pattern(outside), pattern(counts))
    assert float(pattern(counts).abs().max()) > 0


def test_pitch_is_the_distance_of_neighbours(make_pixels):
    assert pixel_pitch(make_pixels(64)) == pytest.approx(2 * 0.03 / 64, rel=0.02)
