"""The implicit volume: a network, trained by patterns with poses or by sums."""

from xrai.decoder.config import DecoderConfig, FitConfig, VolumeConfig
from xrai.decoder.fit import fit_sums, profile_of
from xrai.decoder.implicit import ImplicitDecoder, radial_profile

__all__ = [
    "DecoderConfig",
    "FitConfig",
    "ImplicitDecoder",
    "VolumeConfig",
    "fit_sums",
    "profile_of",
    "radial_profile",
]
