"""What tells one data set from another: a hash over what it says, not over how it is stored."""

import hashlib
from collections.abc import Iterable

import numpy as np

from xraisim.core.types import Photons, Pixels

FIRST = 64  # patterns that are looked at: two data sets do not agree in so many


def fingerprint(pixels: Pixels, photons: Iterable[Photons]) -> str:
    """Return a hash (SHA-256, hexadecimal) of a detector's usable pixels and of some patterns.

    Scattering vectors, gain, background and place of every pixel, and every photon: a file that is
    packed otherwise has the same one, another mask, gain or seed another.
    """
    found = hashlib.sha256()
    for tensor in (pixels.s, pixels.gain, pixels.background, pixels.index):
        found.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    for block in photons:
        for numbers in (block.offsets, block.pixel, block.count):
            found.update(np.asarray(numbers, np.int64).tobytes())
    return found.hexdigest()
