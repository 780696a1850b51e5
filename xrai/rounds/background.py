"""Whether the patterns hold background that nobody told of: light that never varies."""

import numpy as np

from xrai.sources.stream import PatternStream
from xraisim.core.contrast import speckle_contrast
from xraisim.core.types import Photons

_PATTERNS = 4096
_FROM = 3.0  # s·D: farther in, the particle's outline rules and not its speckles
_SURE = 0.08  # largest standard error of a contrast that tells anything
_MOST = 0.99  # of the light; nobody claims all
_LOW = 0.25  # half of the light, or more, does not vary


def background_warning(stream: PatternStream) -> str | None:
    """Return in words that the first patterns hold unknown background; None if they do not.

    Told by the speckle contrast of bands 1/D wide: where it is low throughout the outer half of
    those that can be measured, at least half of the photons there are not of the particle.
    """
    blocks = [photons for _, photons in stream.blocks(0, stream.wait_for(_PATTERNS))]
    pixels, diameter = stream.pixels, stream.diameter_angstrom
    edges = np.arange(_FROM, float(pixels.radius[-1]) * diameter) / diameter
    if not blocks or len(edges) < 3:
        return None
    contrast = speckle_contrast(Photons.joined(blocks), pixels, edges)
    measured = np.flatnonzero(contrast.error < _SURE)
    outer = measured[len(measured) // 2 :]
    if len(outer) < 2 or (contrast.value + 2 * contrast.error)[outer].max() > _LOW:
        return None
    signal = contrast.signal[outer].mean()
    share = min(1 - np.sqrt(contrast.value[outer].clip(0)).mean(), _MOST)
    told = "more background than the patterns tell" if pixels.has_background else "background"
    return (
        f"{share:.0%} of the photons beyond {1 / edges[outer[0]]:.0f} Å look like {told}, about "
        f"{share * signal:.2g} per pixel: they do not vary from shot to shot "
        "as a particle's do, and the intensities found hold them too. State the mean background "
        "(detector/background in the pattern file)"
    )
