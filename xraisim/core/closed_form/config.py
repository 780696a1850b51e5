"""Settings of the closed form."""

from dataclasses import dataclass
from typing import Annotated

from xraisim.core.settings import OneOf, Positive, Range, Settings


@dataclass(frozen=True, kw_only=True)
class ClosedFormConfig(Settings, table="volume"):
    """The closed form of a volume: ``spectrum`` of the speckles, ``"measured"`` in the data, the
    ``"overlap"`` of two spheres, or ``"ball"``, nothing but the limit. ``margin``: how much farther
    than D the autocorrelation may reach, as a fraction of D. ``steps`` of conjugate gradients;
    ``photons``: more in a voxel than these count as these, so that few steps suffice.
    """

    spectrum: Annotated[str, OneOf("measured", "overlap", "ball")] = "measured"
    margin: Annotated[float, Range(least=0, most=10)] = 0.1
    steps: Annotated[int, Range(least=1, most=10000)] = 12
    photons: Positive = 20.0
