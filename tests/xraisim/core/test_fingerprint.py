"""What tells one data set from another."""

import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from xraisim.core.fingerprint import fingerprint, photons_sha256
from xraisim.core.types import Photons, Pixels


def _pixels() -> Pixels:
    s = torch.rand(5, 3).sort(0).values
    return Pixels(
        s=s[s.norm(dim=1).argsort()], gain=torch.ones(5), background=torch.zeros(5),
        index=torch.arange(5), shape=(1, 5),
    )  # fmt: skip


def _photons(count: int = 1) -> Photons:
    return Photons(
        offsets=np.array([0, 2, 3]), pixel=np.array([0, 3, 4], np.int32),
        count=np.array([1, count, 2], np.int32),
    )  # fmt: skip


def test_everything_that_a_reconstruction_sees_is_in_it():
    pixels = _pixels()
    known = fingerprint(pixels, [_photons()])
    assert known == fingerprint(replace(pixels, s=pixels.s.clone()), [_photons()])
    others = [
        fingerprint(pixels, []),
        fingerprint(pixels, [_photons(2)]),
        fingerprint(replace(pixels, gain=2 * pixels.gain), [_photons()]),
        fingerprint(replace(pixels, background=pixels.background + 1), [_photons()]),
        fingerprint(pixels.first(4), [_photons()]),
    ]
    assert len({known, *others}) == 6


def _block(*patterns: dict[int, int] | list[tuple[int, int]]) -> Photons:
    """Return patterns given as pixels and counts."""
    rows = [list(one.items()) if isinstance(one, dict) else one for one in patterns]
    pixel, count = np.array([entry for row in rows for entry in row], np.int32).reshape(-1, 2).T
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    return Photons(offsets=offsets, pixel=pixel, count=count)


PATTERNS = {3: 1, 70_000: 300}, {}, {0: 2}, {}


def test_the_hash_of_photons_is_what_its_definition_says():
    found = hashlib.sha256()
    for pattern in PATTERNS:
        found.update(struct.pack("<I", len(pattern)))
        for pixel, count in sorted(pattern.items()):
            found.update(struct.pack("<II", pixel, count))
    assert photons_sha256([_block(*PATTERNS)]) == found.hexdigest()
    assert photons_sha256([]) == photons_sha256([_block()]) == hashlib.sha256().hexdigest()


@pytest.mark.parametrize(
    "blocks",
    [
        [_block(one) for one in PATTERNS],
        [_block(*PATTERNS[:3]), _block(), _block(PATTERNS[3])],
        [_block([(70_000, 255), (70_000, 45), (3, 1)], *PATTERNS[1:])],  # other order, split
        [_block([(70_000, 255), (3, 1), (70_000, 45), (9, 0)], *PATTERNS[1:])],
    ],
)
def test_it_does_not_depend_on_blocks_or_entries(blocks):
    assert photons_sha256(blocks) == photons_sha256([_block(*PATTERNS)])


@pytest.mark.parametrize(
    "patterns",
    [
        PATTERNS[:3],
        (*PATTERNS, {}),
        (PATTERNS[0], PATTERNS[2], {}, {}),
        ({3: 1, 70_000: 301}, *PATTERNS[1:]),
        ({4: 1, 70_000: 300}, *PATTERNS[1:]),
        ({3: 1}, {70_000: 300}, *PATTERNS[2:]),
    ],
)
def test_it_tells_other_photons(patterns):
    assert photons_sha256([_block(*patterns)]) != photons_sha256([_block(*PATTERNS)])
