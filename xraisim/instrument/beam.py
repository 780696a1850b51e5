"""The X-ray beam: photon energy, focus, fluence on the particle, polarisation, pulse-to-pulse."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float32, Float64, Int
from scipy.special import gammaincinv, ndtri

from xraisim.core.errors import ConfigError
from xraisim.core.random import uniforms
from xraisim.core.settings import NotNegative, OneOf, Positive, Range, Settings, Share
from xraisim.core.units import wavelength_angstrom
from xraisim.instrument.ranges import GIVE_OURS, require

POLARISATIONS = ("x", "y", "unpolarised")
FOCI = ("top-hat", "gaussian")
DISTRIBUTIONS = ("constant", "lognormal", "gamma")
LARGEST_ENERGY_SPREAD = 0.1  # relative rms; more is no longer a line of an X-ray source
MOST_LINES = 64


@dataclass(frozen=True, kw_only=True)
class Beam(Settings, table="beam"):
    """A focused pulse and how it and the particle's place in it vary from shot to shot.

    ``focus``: ``"top-hat"``, a uniform disc of radius ``focus_radius_um``; or ``"gaussian"``, whose
    fluence falls to 1/e² at ``focus_radius_um`` = w, from a peak of 2N/(πw²) for N photons.
    ``polarisation`` is the direction of the electric field: ``"x"``, ``"y"`` or ``"unpolarised"``.
    ``position_jitter_um``: rms distance of the particle from the beam's axis, along x and along y.
    ``pulse_energy_jitter``: relative rms, gamma-distributed: the energy of a SASE pulse of M modes
    has the shape M = jitter⁻² (Saldin, Schneidmiller & Yurkov 1998), 1 being a single mode.
    ``energy_jitter``: relative rms of the pulse's mean photon energy. ``bandwidth``: relative rms
    width of the spectrum within a pulse, drawn as ``spectral_lines`` discrete lines (1:
    monochromatic); see :mod:`xraisim.instrument.spectrum`.
    Raises :class:`ConfigError` for values that no beam can have.
    """

    photon_energy_ev: Positive = 4600.0
    photons_per_pulse: Positive = 1e13
    focus: Annotated[str, OneOf(*FOCI)] = "top-hat"
    focus_radius_um: Positive = 0.5
    polarisation: Annotated[str, OneOf(*POLARISATIONS)] = "x"
    position_jitter_um: NotNegative = 0.0
    pulse_energy_jitter: Share = 0.0
    energy_jitter: Annotated[float, Range(least=0, most=LARGEST_ENERGY_SPREAD)] = 0.0
    bandwidth: Annotated[float, Range(least=0, most=LARGEST_ENERGY_SPREAD)] = 0.0
    spectral_lines: Annotated[int, Range(least=1, most=MOST_LINES)] = 1

    def check(self) -> None:
        """Refuse an energy that no experiment has, and a bandwidth without lines."""
        require("photon_energy_ev", self.photon_energy_ev, where="beam", advice=GIVE_OURS)
        if (self.bandwidth > 0) != (self.spectral_lines > 1):
            raise ConfigError(
                f"beam.bandwidth is {self.bandwidth} with {self.spectral_lines} spectral lines; a "
                "bandwidth needs spectral_lines = 2 or more, and one line has no bandwidth"
            )

    @property
    def wavelength_angstrom(self) -> float:
        """Wavelength in Å."""
        return wavelength_angstrom(self.photon_energy_ev)

    @property
    def fluence_photons_per_um2(self) -> float:
        """Mean photons per µm² on a particle that is hit, J₀.

        Top-hat: the pulse spread over the disc, N/(πR²). Gaussian: the peak 2N/(πw²) times
        w²/(w² + 4σ²), the mean of exp(−2r²/w²) over positions of rms σ along x and along y.
        """
        per_disc = self.photons_per_pulse / (math.pi * self.focus_radius_um**2)
        if self.focus == "top-hat":
            return per_disc
        return 2 * per_disc / (1 + 4 * (self.position_jitter_um / self.focus_radius_um) ** 2)

    @property
    def hit_fraction(self) -> float:
        """Share of the particles that get photons: those inside a top-hat's disc, 1 − e^(−R²/2σ²).

        A Gaussian focus lights every particle, however dimly.
        """
        if self.focus == "gaussian" or self.position_jitter_um == 0:
            return 1.0
        return -math.expm1(-0.5 * (self.focus_radius_um / self.position_jitter_um) ** 2)

    def draw_focus(
        self, seed: int, indices: Int[np.ndarray, "n"], stream: str = "position"
    ) -> Float64[np.ndarray, "n"]:
        """Return the fluence over J₀ where the particles of shots ``indices`` are.

        The distance r from the axis of a place N(0, σ²) along x and y is σ·√(−2 ln u). Outside a
        top-hat's disc the fluence is zero; inside it, and on average over a Gaussian, it is 1.
        """
        if self.position_jitter_um == 0:
            return np.ones(len(indices))
        ratio = (self.position_jitter_um / self.focus_radius_um) ** 2
        uniform = uniforms(seed, stream, indices, 1)[:, 0]
        squared_distance = -2 * ratio * np.log(uniform)  # in units of the focus radius
        if self.focus == "top-hat":
            return (squared_distance < 1).astype(np.float64)
        return (1 + 4 * ratio) * np.exp(-2 * squared_distance)

    def draw_pulse_energy(
        self, seed: int, indices: Int[np.ndarray, "n"]
    ) -> Float64[np.ndarray, "n"]:
        """Return the energies of pulses ``indices`` over their mean."""
        if self.pulse_energy_jitter == 0:
            return np.ones(len(indices))
        modes = self.pulse_energy_jitter**-2
        return gammaincinv(modes, uniforms(seed, "pulse energy", indices, 1)[:, 0]) / modes


@dataclass(frozen=True, kw_only=True)
class FluenceSpread(Settings, table="fluence"):
    """How the fluence on the particle varies from shot to shot, relative to its mean of 1.

    ``"constant"``; ``"lognormal"`` with ``sigma``, the standard deviation of ln φ; ``"gamma"`` with
    ``shape``, so that the relative standard deviation is shape^-½ (Dragonfly uses shape 2). It
    multiplies what the :class:`Beam`'s jitters make of the fluence.
    """

    distribution: Annotated[str, OneOf(*DISTRIBUTIONS)] = "lognormal"
    sigma: Annotated[float, Range(least=0, most=2)] = 0.3
    shape: Positive = 2.0

    def relative(self, uniform: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """Map uniforms on (0, 1) to relative fluences of mean 1 by the inverse distribution."""
        if self.distribution == "constant":
            return np.ones_like(uniform)
        if self.distribution == "lognormal":
            return np.exp(self.sigma * ndtri(uniform) - 0.5 * self.sigma**2)
        return gammaincinv(self.shape, uniform) / self.shape

    def draw(
        self, seed: int, indices: Int[np.ndarray, "n"], stream: str = "fluence"
    ) -> Float32[np.ndarray, "n"]:
        """Return the relative fluence of patterns ``indices`` for ``seed``."""
        return self.relative(uniforms(seed, stream, indices, 1)[:, 0]).astype(np.float32)
