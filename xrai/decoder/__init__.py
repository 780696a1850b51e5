"""Volumes from patterns with poses: an implicit network, and a closed form from sums."""

from xrai.decoder.closed_form import for_look_up, volume_from_sums
from xrai.decoder.config import DecoderConfig, FitConfig, VolumeConfig
from xrai.decoder.fit import fit_sums, profile_of
from xrai.decoder.implicit import ImplicitDecoder, radial_profile

__all__ = [
    "DecoderConfig",
    "FitConfig",
    "ImplicitDecoder",
    "VolumeConfig",
    "fit_sums",
    "for_look_up",
    "profile_of",
    "radial_profile",
    "volume_from_sums",
]
