"""The X-ray beam: photon energy, fluence at the interaction point, polarisation, pulse-to-pulse."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv, ndtri

from xraisim.core.errors import ConfigError
from xraisim.core.random import uniforms
from xraisim.core.units import wavelength_angstrom

POLARISATIONS = ("x", "y", "unpolarised")
DISTRIBUTIONS = ("constant", "lognormal", "gamma")


@dataclass(frozen=True, kw_only=True)
class Beam:
    """A pulse focused to a uniform disc; the particle sits inside it.

    ``polarisation`` is the direction of the electric field: ``"x"``, ``"y"`` or ``"unpolarised"``.
    Raises :class:`ConfigError` for values that no beam can have.
    """

    photon_energy_ev: float = 4600.0
    photons_per_pulse: float = 1e13
    focus_radius_um: float = 0.5
    polarisation: str = "x"

    def __post_init__(self) -> None:
        for name in ("photon_energy_ev", "photons_per_pulse", "focus_radius_um"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"beam.{name} is {value}; it must be a positive number")
        if self.polarisation not in POLARISATIONS:
            raise ConfigError(
                f"beam.polarisation is {self.polarisation!r}; expected one of "
                f"{', '.join(POLARISATIONS)}"
            )

    @property
    def wavelength_angstrom(self) -> float:
        """Wavelength in Å."""
        return wavelength_angstrom(self.photon_energy_ev)

    @property
    def fluence_photons_per_um2(self) -> float:
        """Photons per µm² on the particle: the pulse spread over the focal disc, J₀."""
        return self.photons_per_pulse / (math.pi * self.focus_radius_um**2)


@dataclass(frozen=True, kw_only=True)
class FluenceSpread:
    """How the fluence on the particle varies from shot to shot, relative to its mean of 1.

    ``"constant"``; ``"lognormal"`` with ``sigma``, the standard deviation of ln φ; ``"gamma"`` with
    ``shape``, so that the relative standard deviation is shape^-½ (Dragonfly uses shape 2).
    """

    distribution: str = "lognormal"
    sigma: float = 0.3
    shape: float = 2.0

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise ConfigError(
                f"fluence.distribution is {self.distribution!r}; expected one of "
                f"{', '.join(DISTRIBUTIONS)}"
            )
        if not (math.isfinite(self.sigma) and 0 <= self.sigma <= 2):
            raise ConfigError(f"fluence.sigma is {self.sigma}; expected a number from 0 to 2")
        if not (math.isfinite(self.shape) and self.shape > 0):
            raise ConfigError(f"fluence.shape is {self.shape}; it must be a positive number")

    def relative(self, uniform: np.ndarray) -> np.ndarray:
        """Map uniforms on (0, 1) to relative fluences of mean 1 by the inverse distribution."""
        if self.distribution == "constant":
            return np.ones_like(uniform)
        if self.distribution == "lognormal":
            return np.exp(self.sigma * ndtri(uniform) - 0.5 * self.sigma**2)
        return gammaincinv(self.shape, uniform) / self.shape

    def draw(self, seed: int, indices: np.ndarray) -> np.ndarray:
        """Return the relative fluence of patterns ``indices``, float32 [n], for ``seed``."""
        return self.relative(uniforms(seed, "fluence", indices, 1)[:, 0]).astype(np.float32)
