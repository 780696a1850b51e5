"""Settings of the volumes: the implicit network, its fit to sums, the closed form."""

from dataclasses import dataclass, field
from typing import Annotated

from xraisim.core.closed_form import ClosedFormConfig
from xraisim.core.errors import ConfigError
from xraisim.core.settings import Count, OneOf, Positive, Range, Settings
from xraisim.core.symmetry import point_group


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(Settings, table="decoder"):
    """The implicit volume: log V(s) = radial profile + network of an encoding of s.

    ``form`` of the encoding: ``"fourier"``, random cosines; ``"siren"``, learned cosines and sines
    throughout (Sitzmann et al. 2020); ``"hash"``, a multi-resolution hash grid (Müller et al.
    2022). ``features``: its outputs. ``bandwidth``: standard deviation of the cosines' frequencies
    per axis, in particle diameters. ``levels`` of the hash grid, each with 2^``table_bits``
    entries. ``width`` of the two hidden layers. ``symmetry``: the particle's point group, by its
    Schoenflies symbol. ``oversampling``: grid voxels per 1/D when evaluated on a grid.
    ``precision`` of the layers' products: ``"bfloat16"`` is faster where a processor has it.
    """

    form: Annotated[str, OneOf("fourier", "siren", "hash")] = "fourier"
    features: Annotated[int, Range(least=1, most=8192)] = 64
    width: Annotated[int, Range(least=1, most=8192)] = 128
    bandwidth: Annotated[float, Range(above=0, most=10)] = 0.175
    levels: Annotated[int, Range(least=1, most=64)] = 8
    table_bits: Annotated[int, Range(least=1, most=26)] = 15
    symmetry: str = "C1"
    oversampling: Annotated[float, Range(least=1, most=16)] = 2.5
    precision: Annotated[str, OneOf("float32", "bfloat16")] = "float32"
    learning_rate: Annotated[float, Range(above=0, most=1)] = 3e-3

    def check(self) -> None:
        """Refuse features that do not divide among levels, and unknown point groups."""
        if self.form == "hash" and self.features % self.levels:
            raise ConfigError(
                f"{self.features} features do not divide among {self.levels} levels of a hash "
                f"grid; use a multiple of {self.levels}"
            )
        point_group(self.symmetry)  # raises for a name that is none


@dataclass(frozen=True, kw_only=True)
class FitConfig(Settings, table="volume.fit"):
    """Fit of the implicit volume to sums: ``steps`` of ``batch`` voxels each.

    ``steps_per_round``: of a fit that goes on where the last one ended. ``learning_rate`` at the
    start, falling to zero along a cosine. ``photons``: a voxel with more expected photons than
    these weighs as if it had so many.
    """

    steps: Count = 400
    steps_per_round: Count = 100
    batch: Count = 16384
    learning_rate: Annotated[float, Range(above=0, most=1)] = 3e-3
    photons: Positive = 20.0


@dataclass(frozen=True, kw_only=True)
class VolumeConfig(ClosedFormConfig, table="volume"):
    """The volume made of sums: ``form`` ``"closed_form"`` (:mod:`xraisim.core.closed_form`, whose
    settings these are too), or ``"implicit"``, the network of the decoder's settings, trained on by
    ``fit`` in every round.
    """

    form: Annotated[str, OneOf("closed_form", "implicit")] = "closed_form"
    fit: FitConfig = field(default_factory=FitConfig)
