"""Amortised orientations: a pattern in, a posterior over SO(3) out, in one pass."""

from xrai.encoder.config import EncoderConfig
from xrai.encoder.network import Encoder, Proposal

__all__ = ["Encoder", "EncoderConfig", "Proposal"]
