"""Speckle contrast: 1 for speckles, (1 − f)² with a share f of the light that never varies."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from xraisim.core.contrast import speckle_contrast
from xraisim.core.random import generator
from xraisim.core.types import Photons, Pixels

S_MAX = 0.04
EDGES = np.linspace(0.01, S_MAX, 4)


def detector(background: float) -> Pixels:
    radius = torch.linspace(0.002, S_MAX * 0.999, 240)
    return Pixels(
        s=torch.stack([radius, 0 * radius, 0 * radius], 1),
        gain=torch.ones(240),
        background=torch.full((240,), background),
        index=torch.arange(240),
        shape=(12, 20),
    )


def speckles(make_sparse, signal: float, background: float, n: int = 3000) -> Photons:
    """Return patterns of Wilson's exponential intensities, with a spread of the fluence."""
    random = generator(4, "speckles")
    rate = -torch.rand(n, 240, generator=random).clamp_min(1e-6).log() * signal
    fluence = torch.exp(0.5 * torch.randn(n, 1, generator=random) - 0.125)
    return make_sparse(torch.poisson(fluence * rate + background, generator=random))


@pytest.mark.parametrize("signal", [0.05, 5.0])
def test_speckles_have_contrast_one(make_sparse, signal):
    found = speckle_contrast(speckles(make_sparse, signal, 0.0), detector(0.0), EDGES)
    assert np.all(np.abs(found.value - 1) < 4 * found.error + 0.08)
    assert np.allclose(found.signal, signal, rtol=0.1)


def test_what_does_not_vary_takes_contrast_away_unless_it_is_known(make_sparse):
    photons = speckles(make_sparse, 0.4, 1.2)
    unknown = speckle_contrast(photons, detector(0.0), EDGES)
    known = speckle_contrast(photons, detector(1.2), EDGES)
    assert np.all(unknown.value < 0.12), "a quarter of the light varies"
    assert np.all(np.abs(known.value - 1) < 4 * known.error + 0.08)
    assert np.allclose(known.signal, 0.4, rtol=0.1)


def test_the_stated_error_covers_that_of_repeated_draws(make_sparse):
    whole, pixels = speckles(make_sparse, 0.3, 0.0, n=4000), detector(0.0)
    parts = [
        speckle_contrast(whole.take(np.arange(first, first + 200)), pixels, EDGES)
        for first in range(0, 4000, 200)
    ]
    spread = np.std([one.value for one in parts], axis=0)
    stated = np.mean([one.error for one in parts], axis=0)
    assert np.all((stated / spread > 0.6) & (stated / spread < 4))


def test_entries_of_one_pixel_add_up_and_pixels_beyond_do_not_count(make_sparse):
    photons, pixels = speckles(make_sparse, 2.0, 0.0, n=50), detector(0.5)
    doubled = Photons(
        offsets=2 * photons.offsets,
        pixel=np.repeat(photons.pixel, 2),
        count=photons.count.repeat(2),
    )
    twice = replace(photons, count=2 * photons.count)
    one, other = (speckle_contrast(some, pixels, EDGES) for some in (doubled, twice))
    assert np.allclose(one.value, other.value)
    inner = speckle_contrast(photons, pixels.first(200), EDGES[:2])
    assert np.all(np.isfinite(inner.value))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_no_photons_tell_nothing(make_sparse, n):
    found = speckle_contrast(make_sparse(torch.zeros(n, 240)), detector(0.0), EDGES)
    assert not np.isfinite(found.value).any()
