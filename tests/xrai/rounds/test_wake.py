"""What a step of the amortised start draws and weighs, against plain forms of the same."""

import math

import pytest
import torch

from xrai.rounds.wake import Draws, dense_loglik, propose
from xraisim.core import rotations, so3
from xraisim.core.likelihood import candidate_loglik
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader


def test_cells_are_drawn_as_often_as_their_chance_says() -> None:
    random = generator(1, "cells")
    logits = torch.randn(1, 6, generator=random).expand(4000, 6)
    cell, chance = propose(logits, torch.rand(4000, 5, generator=random), explore=0.2)
    expected = logits[0].softmax(0) * 0.8 + 0.2 / 6
    share = torch.bincount(cell.reshape(-1), minlength=6) / cell.numel()
    assert torch.allclose(share, expected, atol=4 * math.sqrt(0.25 / cell.numel()))
    assert torch.allclose(chance, expected[cell])


@pytest.mark.parametrize("background", [0.0, 2.0])
def test_dense_likelihood_is_that_of_the_photons(patterns, background) -> None:
    with PatternReader(patterns) as reader:
        pixels, photons = reader.pixels.first(400), reader.read(0, 20)
    pixels = type(pixels)(
        **{**vars(pixels), "background": torch.full_like(pixels.gain, background)}
    )
    random = generator(2, "volume")
    grid, spacing = 41, 1.05 * float(pixels.radius[-1]) / 20
    values = torch.rand(grid, grid, grid, generator=random) * 1e5 + 1e4
    volume = Volume(values=values, spacing=spacing, kind="intensity")
    poses = so3.haar(20 * 3, random)
    cut = slice_volume(volume.values, rotations.to_matrix(poses).contiguous(), pixels.s, spacing)
    rates = (cut * pixels.gain).reshape(20, 3, -1)
    found = dense_loglik(photons.dense(400), rates, pixels.background)
    expected, _ = candidate_loglik(volume, pixels, photons, poses.reshape(20, 3, 4))
    # The two leave out other constants of a pattern.
    gain, expected_gain = (one[:, 1:] - one[:, :1] for one in (found, expected.float()))
    assert torch.allclose(gain, expected_gain, rtol=1e-3, atol=0.2)


def test_shares_of_a_batch_have_the_draws_of_the_whole() -> None:
    whole = Draws.of(8, 3, generator(3, "draws"))
    parts = [whole.share(slice(0, 5)), whole.share(slice(5, 8))]
    for name, values in vars(whole).items():
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), values)
