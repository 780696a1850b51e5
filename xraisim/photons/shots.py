"""What each pulse met: the exposures whose photons add up on the detector.

A shot is a few exposures, each one particle seen at one photon energy. Their intensities add:
λ_p = gain_p · Σ_e weight_e · V_model(e)(scale_e · R_eᵀ s_p) + strength · background_p. Interference
between particles of one shot is left out: its fringes, 1/distance wide, are finer than a pixel.
"""

from dataclasses import dataclass

import numpy as np

from xraisim.instrument.spectrum import draw_spectrum
from xraisim.photons.hits import BLANK, CONTAMINANT, HIT_NAMES, MULTIPLE, SINGLE
from xraisim.photons.particles import Particles, ShotRecipe, draw_orientations, draw_particles

__all__ = [
    "BLANK",
    "CONTAMINANT",
    "HIT_NAMES",
    "MULTIPLE",
    "SINGLE",
    "Particles",
    "ShotRecipe",
    "Shots",
    "draw_orientations",
    "draw_shots",
]

_PER_EXPOSURE = ("particle", "model", "orientation", "weight", "scale")
_PER_SHOT = ("fluence", "strength", "energy", "hit")


@dataclass(frozen=True, kw_only=True)
class Shots:
    """A block of n shots with m exposures (compressed sparse rows over shots).

    ``offsets`` int64 [n + 1]: shot i has exposures ``offsets[i]:offsets[i + 1]``, none if blank;
    sorted by particle, then by spectral line.
    ``particle`` int32 [m]: which of the shot's particles, from 0; the lines of one share it.
    ``model`` int32 [m]: which intensity volume. ``orientation`` float32 [m, 4]: quaternions.
    ``weight`` float32 [m]: fluence relative to J₀, times what else scales the intensity.
    ``scale`` float32 [m]: by what the scattering vectors are multiplied, E/E₀ for a photon energy.
    ``fluence`` float32 [n]: φ, summed over the shot's particles; 0 if blank. ``strength`` float32
    [n]: of the background, mean 1. ``energy`` float32 [n]: the pulse's mean photon energy over E₀.
    ``hit`` uint8 [n]: BLANK, SINGLE, MULTIPLE or CONTAMINANT.
    """

    offsets: np.ndarray
    particle: np.ndarray
    model: np.ndarray
    orientation: np.ndarray
    weight: np.ndarray
    scale: np.ndarray
    fluence: np.ndarray
    strength: np.ndarray
    energy: np.ndarray
    hit: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def part(self, start: int, stop: int) -> "Shots":
        """Return shots ``start … stop − 1`` as a new block."""
        low, high = self.offsets[start], self.offsets[stop]
        return Shots(
            offsets=self.offsets[start : stop + 1] - low,
            **{name: getattr(self, name)[low:high] for name in _PER_EXPOSURE},
            **{name: getattr(self, name)[start:stop] for name in _PER_SHOT},
        )

    def particles(self) -> Particles:
        """Return the particles behind the exposures: what a truth file holds."""
        shot = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        new = np.ones(len(shot), bool)
        new[1:] = (np.diff(shot) != 0) | (np.diff(self.particle) != 0)
        first = np.flatnonzero(new)
        lines = np.diff(first, append=len(shot))
        # A pulse's energy is the mean of its lines', so what is left of the mean scale is the size.
        size = np.add.reduceat(self.scale, first, dtype=np.float64) / lines
        size /= self.energy[shot[first]]
        weight = np.add.reduceat(self.weight, first, dtype=np.float64)
        return Particles(
            offsets=np.searchsorted(first, self.offsets),
            model=self.model[first],
            orientation=self.orientation[first],
            fluence=(weight / size**6).astype(np.float32),
            size=size.astype(np.float32),
        )


def draw_shots(recipe: ShotRecipe, seed: int, first: int, n: int) -> Shots:
    """Return shots ``first … first + n − 1``; each depends on the seed and its number alone."""
    indices = np.arange(first, first + n)
    met, hit = draw_particles(recipe, seed, indices)
    energy, lines, share = draw_spectrum(recipe.beam, seed, indices)
    shot, per = met.shot, lines.shape[1]
    return Shots(
        offsets=per * met.offsets,
        particle=np.repeat(met.rank, per).astype(np.int32),
        model=np.repeat(met.model, per),
        orientation=np.repeat(met.orientation, per, axis=0),
        weight=(met.weight[:, None] * share[shot]).astype(np.float32).reshape(-1),
        scale=(met.size[:, None] * lines[shot]).astype(np.float32).reshape(-1),
        fluence=np.bincount(shot, met.fluence, minlength=n).astype(np.float32),
        strength=recipe.strength.draw(seed, indices, "background"),
        energy=energy.astype(np.float32),
        hit=hit,
    )
