"""The usable pixels of a detector in the order that reconstructors take them: by |s|."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int32, Shaped

from xraisim.core.types import Photons, Pixels


@dataclass(frozen=True)
class PixelOrder:
    """``pixels``: the usable ones by |s|; ``rank``: each pixel's place there, or −1."""

    pixels: Pixels
    rank: Int32[np.ndarray, "P"]

    @classmethod
    def of(
        cls,
        s: Float[np.ndarray, "P 3"],
        gain: Float[np.ndarray, "P"],
        background: Float[np.ndarray, "P"],
        mask: Shaped[np.ndarray, "P"],
        shape: tuple[int, int],
    ) -> "PixelOrder":
        """Sort the pixels of a flattened detector; ``mask`` is non-zero where one is not used."""
        good = np.flatnonzero(mask == 0)
        index = good[np.argsort(np.linalg.norm(s[good].astype(np.float32), axis=1), kind="stable")]
        rank = np.full(len(mask), -1, np.int32)
        rank[index] = np.arange(len(index), dtype=np.int32)
        pixels = Pixels(
            s=torch.from_numpy(s[index].astype(np.float32)),
            gain=torch.from_numpy(gain[index].astype(np.float32)),
            background=torch.from_numpy(background[index].astype(np.float32)),
            index=torch.from_numpy(index),
            shape=shape,
        )
        return cls(pixels, rank)

    def ranked(self, raw: Photons) -> Photons:
        """Return patterns with numbers into ``pixels`` in place of flat indices; masked dropped."""
        pixel = self.rank[raw.pixel]
        return Photons(offsets=raw.offsets, pixel=pixel, count=raw.count).where(pixel >= 0)
