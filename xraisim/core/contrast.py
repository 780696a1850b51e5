"""Speckle contrast of patterns: how much the signal in a pixel varies from shot to shot.

A particle turns from shot to shot, so its intensity in a pixel varies as speckles do: beyond the
lowest resolutions the variance is about the squared mean (Wilson 1949), a contrast near 1. Photons
that come alike in every shot do not vary: a share f of them leaves a contrast of (1 − f)². It needs
neither orientations nor a volume, and pose errors do not blur it.

For k ~ Poisson(λ + b), (k − b)² − k has mean λ², however few the photons are. The squared mean
comes from pairs of different patterns, and the fluence's own spread from whole patterns.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from xraisim.core.types import Photons, Pixels


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """``value`` and standard ``error`` of the contrast in bands of |s|; NaN where nothing tells.

    ``signal``: mean photons per pixel in each band, without the background that is known.
    """

    value: Float[np.ndarray, "bands"]
    error: Float[np.ndarray, "bands"]
    signal: Float[np.ndarray, "bands"]


def speckle_contrast(
    photons: Photons, pixels: Pixels, edges: Float[np.ndarray, "edges"]
) -> Contrast:
    """Return the contrast of patterns between the ``edges``, |s| in Å⁻¹, ascending."""
    n, P, bands = len(photons), len(pixels), len(edges) - 1
    if n < 2:
        nothing = np.full(bands, np.nan)
        return Contrast(value=nothing, error=nothing, signal=nothing)
    photons = photons.summed()
    b = pixels.background.double().cpu().numpy()
    band = np.searchsorted(edges, pixels.radius.cpu().numpy(), side="right") - 1
    band[(band < 0) | (band >= bands)] = bands  # collects what lies outside
    inside = photons.pixel < P
    row, pixel = photons.rows()[inside], photons.pixel[inside]
    k = photons.count[inside].astype(float)
    squared = k * k - 2 * k * b[pixel]  # (k − b)² − b²

    place = row * (bands + 1) + band[pixel]
    found = np.bincount(place, squared - k, n * (bands + 1)).reshape(n, bands + 1)
    found = (found + np.bincount(band, b * b, bands + 1))[:, :bands]
    total = np.bincount(pixel, k, P) - n * b
    other = _pairs(total, np.bincount(pixel, squared, P) + n * b * b, n)
    whole = np.bincount(row, k, n) - b.sum()
    fluence = whole**2 - np.bincount(row, k, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(band, other, bands + 1)[:bands]
        mean *= fluence.mean() / _pairs(whole.sum(), (whole**2).sum(), n)
        ratio = found.mean(0) / mean
        # Brighter patterns have more of both, so the fluence's spread is no error.
        single = found / mean - ratio * (fluence / fluence.mean())[:, None]
        return Contrast(
            value=ratio - 1,
            error=single.std(0) / np.sqrt(n),
            signal=np.bincount(band, total / n, bands + 1)[:bands]
            / np.bincount(band, minlength=bands + 1)[:bands],
        )


def _pairs(
    total: np.ndarray | np.floating, squares: np.ndarray | np.floating, n: int
) -> np.ndarray | np.floating:
    """Return the mean product of two different patterns' values, from Σ and Σ of squares."""
    return (total**2 - squares) / (n * (n - 1))
