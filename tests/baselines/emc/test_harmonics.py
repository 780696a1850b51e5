"""Harmonics of photons against the plain sum, and how rows are packed."""

import numpy as np
import torch

from baselines.emc.harmonics import PhotonHarmonics, pack, photon_harmonics_reference, unpack
from xraisim.core.types import Photons


def _counts(pixels, patterns=5):
    draw = torch.Generator().manual_seed(2)
    return torch.poisson(torch.full((patterns, len(pixels)), 0.4), generator=draw)


def test_rows_are_the_plain_sums_over_photons(pixels, polar, sparse):
    counts = _counts(pixels)
    found = unpack(polar, PhotonHarmonics(polar)(sparse(counts)))
    exact = photon_harmonics_reference(polar, counts)
    torch.testing.assert_close(
        torch.view_as_complex(found)[:, :-1].to(exact), exact, rtol=1e-4, atol=1e-4
    )
    assert (found[:, -1] == 0).all()


def test_harmonic_zero_counts_the_photons(pixels, polar, sparse):
    counts = _counts(pixels)
    rows = PhotonHarmonics(polar)(sparse(counts))
    torch.testing.assert_close(rows[:, : polar.rings].sum(1), counts.sum(1), rtol=1e-5, atol=1e-3)


def test_pixels_beyond_the_grid_and_repeated_ones(pixels, polar):
    """Outer pixels are left out; a pixel that occurs twice counts twice."""
    P, harmonics = len(pixels), PhotonHarmonics(polar)
    offsets = np.array([0, 3, 3])
    messy = Photons(
        offsets=offsets, pixel=np.array([4, P + 2, 4], np.int32), count=np.array([1, 9, 2])
    )
    clean = Photons(offsets=np.array([0, 1, 1]), pixel=np.array([4], np.int32), count=np.array([3]))
    torch.testing.assert_close(harmonics(messy), harmonics(clean))
    assert (harmonics(messy)[1] == 0).all()


def test_an_image_is_a_pattern_with_real_values(pixels, polar):
    image = pixels.gain + 0.25
    found = torch.view_as_complex(PhotonHarmonics(polar).rings_of_image(image))
    exact = photon_harmonics_reference(polar, image[None])[0]
    torch.testing.assert_close(found.to(exact), exact, rtol=1e-4, atol=1e-3)


def test_unpacking_undoes_packing_within_the_limits(polar):
    draw = torch.Generator().manual_seed(1)
    full = torch.randn(2, polar.rings + 1, polar.highest + 1, 2, generator=draw)
    rows = pack(polar, full)
    assert rows.shape == (2, polar.width)
    limits = torch.cat([polar.limits, torch.tensor([polar.highest])])
    kept = torch.arange(polar.highest + 1) <= limits[:, None]
    torch.testing.assert_close(unpack(polar, rows), full * kept[..., None], rtol=0, atol=0)
    torch.testing.assert_close(pack(polar, unpack(polar, rows)), rows, rtol=0, atol=0)
