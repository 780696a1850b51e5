"""What tells one data set from another: hashes over what it says, not over how it is stored."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

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


def photons_sha256(blocks: Iterable[Photons]) -> str:
    """Return the hash (SHA-256, hexadecimal) of all photons of a data set, block after block.

    Over numbers of 32 bits, little-endian, without a sign: of each pattern how many pixels have
    photons, and of each of these, in ascending order, its flat detector index and its photons. So
    it depends on the photons alone, not on blocks, on how counts are split, or on a file's layout.
    """
    found = hashlib.sha256()
    for block in blocks:
        found.update(_words(_ascending(block).summed()).tobytes())
    return found.hexdigest()


def _ascending(photons: Photons) -> Photons:
    """Return the block with the pixels of each pattern in order."""
    place = (photons.rows() << 32) + photons.pixel
    if (place[1:] >= place[:-1]).all():
        return photons
    order = np.argsort(place, kind="stable")
    return replace(photons, pixel=photons.pixel[order], count=photons.count[order])


def _words(photons: Photons) -> np.ndarray:
    """Return the patterns one after another, each its number of entries and then the entries."""
    lit = photons.count > 0
    row, pixel, count = photons.rows()[lit], photons.pixel[lit], photons.count[lit]
    length = np.bincount(row, minlength=len(photons))
    words = np.empty(len(length) + 2 * len(row), "<u4")
    words[np.arange(len(length)) + 2 * (np.cumsum(length) - length)] = length
    at = 2 * np.arange(len(row)) + row + 1
    words[at], words[at + 1] = pixel, count
    return words
