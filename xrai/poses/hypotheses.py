"""Poses that the encoder of mode ``hybrid`` proposes."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.encoder import Encoder
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.search import prune
from xraisim.core import so3
from xraisim.core.types import Photons, Pixels, Volume

# What a step costs in multiply-adds of a large matrix product, as measured on x86 processors.
_LOOK_UP = 400  # of one pixel of a candidate in the volume
_NETWORK = 7  # a multiply-add of the encoder's small layers, between which memory decides


@dataclass(frozen=True)
class EncoderHypotheses:
    """The encoder's hypotheses and their near-symmetric mates, ranked by the exact likelihood."""

    volume: Volume
    pixels: Pixels
    encoder: Encoder
    encoder_pixels: Pixels

    @property
    def s_max(self) -> float:
        """The |s| (Å⁻¹) of the outermost pixel by which hypotheses are ranked."""
        return float(self.pixels.radius[-1])

    @property
    def cost(self) -> int:
        """Work per pattern, in multiply-adds of a large matrix product."""
        candidates = 2 * self.encoder.heads
        ranking = _LOOK_UP * candidates * len(self.pixels)
        return _NETWORK * self.encoder.multiply_adds + ranking

    def best(self, photons: Photons, keep: int) -> Float[Tensor, "n keep 4"]:
        """Return the ``keep`` likeliest of the hypotheses."""
        counts = photons.dense(len(self.encoder_pixels)).to(self.pixels.s.device)
        hypotheses = self.encoder.propose(counts).heads
        both = torch.cat([hypotheses, so3.in_plane_mate(hypotheses)], 1)
        likelihood = PoseLikelihood(self.volume, self.pixels, photons)
        return prune(likelihood, both, min(keep, both.shape[1]))
