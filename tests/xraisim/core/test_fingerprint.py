"""What tells one data set from another."""

from dataclasses import replace

import numpy as np
import torch

from xraisim.core.fingerprint import fingerprint
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
