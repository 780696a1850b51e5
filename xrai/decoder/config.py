"""Settings of the volumes: the implicit network, its fit to sums, the closed form."""

from dataclasses import dataclass

from xraisim.core.errors import ConfigError
from xraisim.core.symmetry import point_group

FORMS = ("fourier", "siren", "hash")
SPECTRA = ("measured", "overlap", "ball")


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The implicit volume: log V(s) = radial profile + network of an encoding of s.

    ``form`` of the encoding: ``"fourier"``, random cosines; ``"siren"``, learned cosines and sines
    throughout (Sitzmann et al. 2020); ``"hash"``, a multi-resolution hash grid (Müller et al.
    2022). ``features``: its outputs. ``bandwidth``: standard deviation of the cosines' frequencies
    per axis, in particle diameters. ``levels`` of the hash grid, each with 2^``table_bits``
    entries. ``width`` of the two hidden layers. ``symmetry``: the particle's point group, by its
    Schoenflies symbol. ``oversampling``: grid voxels per 1/D when evaluated on a grid.
    """

    form: str = "fourier"
    features: int = 64
    width: int = 128
    bandwidth: float = 0.175
    levels: int = 8
    table_bits: int = 15
    symmetry: str = "C1"
    oversampling: float = 2.5
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ConfigError(f"form is {self.form!r}; expected one of {', '.join(FORMS)}")
        if min(self.features, self.width, self.levels, self.table_bits) < 1:
            raise ConfigError("features, width, levels and table_bits must be at least 1")
        if self.form == "hash" and self.features % self.levels:
            raise ConfigError(
                f"{self.features} features do not divide among {self.levels} levels of a hash "
                f"grid; use a multiple of {self.levels}"
            )
        point_group(self.symmetry)  # raises for a name that is none


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Fit of the implicit volume to sums: ``steps`` of ``batch`` voxels each.

    ``learning_rate`` at the start, falling to zero along a cosine. ``photons``: a voxel with more
    expected photons than these weighs as if it had so many.
    """

    steps: int = 400
    batch: int = 16384
    learning_rate: float = 3e-3
    photons: float = 20.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.learning_rate <= 0 or self.photons <= 0:
            raise ConfigError(f"steps, batch, learning_rate and photons must be positive: {self}")


@dataclass(frozen=True, kw_only=True)
class BandLimitConfig:
    """The closed-form volume (:mod:`xrai.decoder.closed_form`).

    ``spectrum`` of the speckles: ``"measured"`` in the data, the ``"overlap"`` of two spheres, or
    ``"ball"``, nothing but the limit. ``margin``: how much farther than D the autocorrelation may
    reach, as a fraction of D. ``steps`` of conjugate gradients; ``photons``: more in a voxel than
    these count as these, so that few steps suffice.
    """

    spectrum: str = "measured"
    margin: float = 0.1
    steps: int = 12
    photons: float = 20.0

    def __post_init__(self) -> None:
        if self.spectrum not in SPECTRA:
            raise ConfigError(
                f"spectrum is {self.spectrum!r}; expected one of {', '.join(SPECTRA)}"
            )
        if self.margin < 0 or self.steps < 1 or self.photons <= 0:
            raise ConfigError(
                f"margin {self.margin}, steps {self.steps}, photons {self.photons}: expected a "
                "margin ≥ 0, at least one step and photons > 0"
            )
