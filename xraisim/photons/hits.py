"""What a pulse hits: nothing, one particle, several, or a contaminant; and how often."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float64, Int, Int64, UInt8
from scipy.special import lambertw, pdtrc

from xraisim.core.errors import ConfigError
from xraisim.core.random import uniforms
from xraisim.core.settings import Positive, Range, Settings, Share
from xraisim.photons import sizes

BLANK, SINGLE, MULTIPLE, CONTAMINANT = 0, 1, 2, 3
HIT_NAMES = ("blank", "single", "multiple", "contaminant")

_LARGEST_SHARE = 0.95  # of several among the shots with particles: 4.5 in a pulse on average


@dataclass(frozen=True, kw_only=True)
class Hits(Settings, table="hits"):
    """How often a pulse hits nothing, several particles or a contaminant; else it hits one.

    ``blank_fraction``, ``multiple_fraction``, ``contaminant_fraction``: of all shots. The number of
    particles in a multiple hit is Poisson given that it is at least 2, with the mean at which one
    and several come in the proportion asked for. Contaminants are homogeneous spheres that come
    instead of a particle: ``contaminant_radius_angstrom``, the median;
    ``contaminant_radius_spread``, the standard deviation of ln(radius), a Gaussian cut at 3σ;
    ``contaminant_electrons_per_angstrom3``, their electron density (water: 0.334).
    Raises :class:`ConfigError` for fractions that do not add up.
    """

    blank_fraction: Share = 0.0
    multiple_fraction: Share = 0.0
    contaminant_fraction: Share = 0.0
    contaminant_radius_angstrom: Positive = 100.0
    contaminant_radius_spread: Annotated[float, Range(least=0, most=0.5)] = 0.2
    contaminant_electrons_per_angstrom3: Positive = 0.334

    def check(self) -> None:
        """Refuse fractions that do not add up."""
        others = self.blank_fraction + self.contaminant_fraction
        if others + self.multiple_fraction > 1 + 1e-9:
            raise ConfigError(
                f"hits: blanks, multiple hits and contaminants are {self.blank_fraction:g}, "
                f"{self.multiple_fraction:g} and {self.contaminant_fraction:g} of the shots; "
                "together they cannot be more than 1"
            )
        if self.multiple_fraction > _LARGEST_SHARE * (1 - others) + 1e-9:
            raise ConfigError(
                f"hits.multiple_fraction is {self.multiple_fraction:g} of the {1 - others:g} that "
                f"hit particles; at most {_LARGEST_SHARE:g} of them can be multiple"
            )

    @property
    def mean_particles(self) -> float:
        """Mean of the Poisson number of particles behind single and multiple hits; 0 if all single.

        The root μ of μ/(e^μ − 1) = P(1 | at least 1), the share of singles among the two.
        """
        if self.multiple_fraction == 0:
            return 0.0
        particles = 1 - self.blank_fraction - self.contaminant_fraction
        single = 1 - self.multiple_fraction / particles
        return float(-single - lambertw(-single * math.exp(-single), -1).real)

    @property
    def largest_size(self) -> float:
        """The largest radius of a contaminant over its median."""
        return sizes.largest_size(self.contaminant_radius_spread)

    def draw(
        self, seed: int, indices: Int[np.ndarray, "n"]
    ) -> tuple[UInt8[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
        """Return the class of each shot, and its number of particles.

        A contaminant counts as one particle.
        """
        hit = np.full(len(indices), SINGLE, np.uint8)
        number = np.ones(len(indices), np.int64)
        fractions = self.blank_fraction, self.multiple_fraction, self.contaminant_fraction
        if not any(fractions):
            return hit, number
        chance, order = uniforms(seed, "hit", indices, 2).T
        classes = np.array([BLANK, MULTIPLE, CONTAMINANT, SINGLE], np.uint8)
        hit = classes[np.searchsorted(np.cumsum(fractions), chance, side="right")]
        number[hit == BLANK] = 0
        multiple = hit == MULTIPLE
        number[multiple] = self._several(order[multiple])
        return hit, number

    def _several(self, uniform: Float64[np.ndarray, "k"]) -> Int64[np.ndarray, "k"]:
        """Map uniforms to Poisson numbers that are at least 2, by the inverse distribution."""
        if not len(uniform):
            return np.zeros(0, np.int64)
        above = pdtrc(np.arange(1, 40), self.mean_particles)  # P(more than k), from k = 1
        cumulative = 1 - above[1:] / above[0]
        return 2 + np.searchsorted(cumulative, uniform)

    def draw_sizes(self, seed: int, indices: Int[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """Return the radii of the contaminants of shots ``indices`` over their median."""
        return sizes.draw_sizes(self.contaminant_radius_spread, seed, indices, "contaminant")
