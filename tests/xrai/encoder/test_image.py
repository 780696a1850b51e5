"""The published encoder: proper rotations, indifference to fluence, heads that share the work."""

import pytest
import torch

from xrai.encoder.image import ImageEncoder, PatternImage
from xraisim.core import rotations
from xraisim.core.random import generator
from xraisim.core.types import Pixels


@pytest.fixture
def pixels() -> Pixels:
    index = torch.arange(64 * 64).reshape(64, 64)[10:50, 12:52].reshape(-1)
    index = index[torch.arange(len(index)) % 7 != 0]  # a mask
    s = torch.stack([index // 64 - 30.0, index % 64 - 32.0, torch.zeros(len(index))], 1) * 1e-3
    order = torch.argsort(s.norm(dim=1), stable=True)
    one = torch.ones(len(index))
    return Pixels(s=s[order], gain=one, background=0 * one, index=index[order], shape=(64, 64))


def test_image_puts_every_pixel_in_its_place(pixels):
    image = PatternImage(pixels)
    assert image.size == 41
    counts = torch.zeros(1, len(pixels))
    counts[0, 17] = 5.0
    row, column = int(pixels.index[17]) // 64 - 10, int(pixels.index[17]) % 64 - 12
    picture = image(counts)[0, 0]
    assert int(picture.argmax()) == row * 41 + column


def test_flipping_the_image_turns_the_pattern_about_the_beam(pixels):
    """The square is centred on the beam although the detector is not."""
    image = PatternImage(pixels)
    opposite = {(int(i) // 64 - 30, int(i) % 64 - 32): p for p, i in enumerate(pixels.index)}
    place = next(at for at in opposite if at[0] > 5 and (-at[0], -at[1]) in opposite)
    one, other = torch.zeros(2, 1, len(pixels))
    one[0, opposite[place]] = 5
    other[0, opposite[(-place[0], -place[1])]] = 5
    assert torch.equal(image(one).flip(-1, -2), image(other))


def test_large_detectors_are_binned():
    index = torch.arange(128 * 128)
    one = torch.ones(len(index))
    s = torch.stack([index // 128 - 64.0, index % 128 - 64.0, 0.0 * index], 1)
    image = PatternImage(Pixels(s=s, gain=one, background=one, index=index, shape=(128, 128)))
    assert image.size == 43
    counts = torch.ones(1, len(index))
    image.calibrate(counts.expand(3, -1))
    assert float(torch.expm1(image(counts) * 0.05 + image.mean.reshape(43, 43)).max()) == (
        pytest.approx(9, rel=1e-3)
    )


def test_heads_are_rotations_and_ignore_the_fluence(pixels):
    encoder = ImageEncoder(pixels, 8, heads=5)
    counts = torch.poisson(torch.full((6, len(pixels)), 3.0), generator=generator(0, "counts"))
    encoder.image.calibrate(counts)
    matrix, logits = encoder(encoder.image(counts))
    assert matrix.shape == (6, 5, 3, 3)
    assert logits.shape == (6, 5)
    identity = torch.eye(3).expand(6, 5, 3, 3)
    assert torch.allclose(matrix @ matrix.transpose(-1, -2), identity, atol=1e-5)
    assert torch.allclose(torch.linalg.det(matrix), torch.ones(6, 5), atol=1e-5)
    brighter, _ = encoder(encoder.image(counts * 3))
    assert torch.allclose(brighter, matrix, atol=1e-5)


def test_proposals_come_likeliest_first(pixels):
    encoder = ImageEncoder(pixels, 8, heads=5)
    counts = torch.ones(4, len(pixels))
    encoder.image.calibrate(counts)
    quaternion, probability = encoder.propose(counts)
    assert (probability.diff(dim=1) <= 0).all()
    assert torch.allclose(probability.sum(1), torch.ones(4), atol=1e-5)
    matrix, logits = encoder(encoder.image(counts))
    first = matrix[torch.arange(4), logits.argmax(1)]
    assert torch.allclose(rotations.to_matrix(quaternion[:, 0]), first, atol=1e-4)
