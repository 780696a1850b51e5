"""What each pulse met: the exposures whose photons add up on the detector.

A shot is a few exposures, each one particle seen at one photon energy. Their intensities add:
λ_p = gain_p · Σ_e weight_e · V_model(e)(scale_e · R_eᵀ s_p) + strength · background_p. Interference
between particles of one shot is left out: its fringes, 1/distance wide, are finer than a pixel.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from xraisim.beam import Beam, FluenceSpread
from xraisim.core import so3
from xraisim.core.errors import ConfigError
from xraisim.core.random import uniforms
from xraisim.hits import BLANK, CONTAMINANT, HIT_NAMES, MULTIPLE, SINGLE, Hits
from xraisim.spectrum import draw_spectrum, largest_scale

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


@dataclass(frozen=True, kw_only=True)
class ShotRecipe:
    """What the shots of a data set are drawn from.

    ``species_weights``: how often each kind of particle comes, up to a factor; kind k is intensity
    volume k. The volume after them, ``contaminant_model``, is the contaminant sphere of radius
    ``hits.contaminant_radius_angstrom``; it is needed where ``hits.contaminant_fraction`` > 0.
    ``strength``: of the background, from shot to shot. Raises :class:`ConfigError`.
    """

    beam: Beam = field(default_factory=Beam)
    fluence: FluenceSpread = field(default_factory=FluenceSpread)
    hits: Hits = field(default_factory=Hits)
    strength: FluenceSpread = field(default_factory=lambda: FluenceSpread(distribution="constant"))
    species_weights: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        valid = all(math.isfinite(w) and w >= 0 for w in self.species_weights)
        if not (valid and sum(self.species_weights) > 0):
            raise ConfigError(
                f"the species have the weights {self.species_weights}; expected numbers from 0 up, "
                "at least one of them positive"
            )

    @property
    def contaminant_model(self) -> int:
        """The number of the contaminant's intensity volume."""
        return len(self.species_weights)

    def largest_scale(self, model: int) -> float:
        """Return the largest ``scale`` that an exposure of volume ``model`` can have.

        The volume must reach this many times the detector's largest |s|.
        """
        size = self.hits.largest_size if model == self.contaminant_model else 1.0
        return size * largest_scale(self.beam)


@dataclass(frozen=True, kw_only=True)
class Particles:
    """The particles that n shots lit, k in all (compressed sparse rows over shots).

    ``offsets`` int64 [n + 1]. ``model`` int32 [k]: which intensity volume. ``orientation`` float32
    [k, 4]: quaternions. ``weight`` float32 [k]: the particle's relative fluence × size⁶.
    ``size`` float32 [k]: a contaminant's radius over that of its volume; 1 for the others.
    """

    offsets: np.ndarray
    model: np.ndarray
    orientation: np.ndarray
    weight: np.ndarray
    size: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Shots:
    """A block of n shots with m exposures (compressed sparse rows over shots).

    ``offsets`` int64 [n + 1]: shot i has exposures ``offsets[i]:offsets[i + 1]``, none if blank;
    sorted by particle, then by spectral line.
    ``particle`` int32 [m]: which of the shot's particles, from 0: the lines of one share it.
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

    def particles(self) -> Particles:
        """Return the particles behind the exposures: what a truth file holds."""
        shot = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        new = np.ones(len(shot), bool)
        new[1:] = (np.diff(shot) != 0) | (np.diff(self.particle) != 0)
        first = np.flatnonzero(new)
        lines = np.diff(first, append=len(shot))
        weight, scale = np.zeros(len(first)), np.zeros(len(first))
        if len(first):
            weight = np.add.reduceat(self.weight, first, dtype=np.float64)
            scale = np.add.reduceat(self.scale, first, dtype=np.float64)
        # The lines' energies average to the pulse's, so what is left of the mean scale is the size.
        size = scale / lines / self.energy[shot[first]]
        return Particles(
            offsets=np.searchsorted(first, self.offsets),
            model=self.model[first],
            orientation=self.orientation[first],
            weight=weight.astype(np.float32),
            size=size.astype(np.float32),
        )


def draw_orientations(seed: int, indices: np.ndarray, stream: str = "orientation") -> np.ndarray:
    """Return the uniform random orientations of patterns ``indices``, float32 [n, 4]."""
    u = torch.from_numpy(uniforms(seed, stream, indices, 3))
    return so3.haar_from_uniforms(u).float().numpy()


def draw_shots(recipe: ShotRecipe, seed: int, first: int, n: int) -> Shots:
    """Return shots ``first … first + n − 1``; each depends on the seed and its number alone.

    A particle outside a top-hat focus gets no photons and is left out; a shot that loses all of
    its particles so is blank, one that keeps a single particle is a single hit.
    """
    indices = np.arange(first, first + n)
    hit, number = recipe.hits.draw(seed, indices)
    shot = np.repeat(np.arange(n), number)
    model, orientation, fluence = _draw_particles(recipe, seed, indices[shot], number)
    fluence *= recipe.beam.draw_pulse_energy(seed, indices)[shot]
    size = np.ones(len(shot))
    foreign = np.flatnonzero(hit[shot] == CONTAMINANT)
    model[foreign] = recipe.contaminant_model
    size[foreign] = recipe.hits.draw_sizes(seed, indices[shot[foreign]])
    lit = np.flatnonzero(fluence > 0)
    shot, fluence, size = shot[lit], fluence[lit], size[lit]
    number = np.bincount(shot, minlength=n)
    energy, lines, share = draw_spectrum(recipe.beam, seed, indices)
    per = lines.shape[1]
    return Shots(
        offsets=per * _offsets(number),
        particle=np.repeat(_rank(number), per).astype(np.int32),
        model=np.repeat(model[lit], per),
        orientation=np.repeat(orientation[lit], per, axis=0),
        weight=((fluence * size**6)[:, None] * share[shot]).astype(np.float32).reshape(-1),
        scale=(size[:, None] * lines[shot]).astype(np.float32).reshape(-1),
        fluence=np.bincount(shot, fluence, minlength=n).astype(np.float32),
        strength=recipe.strength.draw(seed, indices, "background"),
        energy=energy.astype(np.float32),
        hit=_seen(hit, number),
    )


def _draw_particles(
    recipe: ShotRecipe, seed: int, indices: np.ndarray, number: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the kind, orientation and relative fluence of every particle of the shots.

    ``indices`` [k]: the shot number of every particle; ``number`` [n]: particles per shot. The
    first particle of a shot has streams of its own, and so has the second, and so on.
    """
    rank = _rank(number)
    model = np.zeros(len(rank), np.int32)
    orientation = np.empty((len(rank), 4), np.float32)
    fluence = np.empty(len(rank))
    for r in range(number.max(initial=0)):
        rows = np.flatnonzero(rank == r)
        which, suffix = indices[rows], f"/{r}" if r else ""
        model[rows] = _draw_species(recipe, seed, which, f"species{suffix}")
        orientation[rows] = draw_orientations(seed, which, f"orientation{suffix}")
        fluence[rows] = recipe.fluence.draw(seed, which, f"fluence{suffix}")
        fluence[rows] *= recipe.beam.draw_focus(seed, which, f"position{suffix}")
    return model, orientation, fluence


def _draw_species(recipe: ShotRecipe, seed: int, indices: np.ndarray, stream: str) -> np.ndarray:
    weights = np.asarray(recipe.species_weights)
    if len(weights) == 1:
        return np.zeros(len(indices), np.int64)
    cumulative = np.cumsum(weights / weights.sum())[:-1]
    return np.searchsorted(cumulative, uniforms(seed, stream, indices, 1)[:, 0], side="right")


def _offsets(number: np.ndarray) -> np.ndarray:
    """Return where each shot's particles start, and their end, int64 [n + 1]."""
    return np.concatenate([[0], np.cumsum(number, dtype=np.int64)])


def _rank(number: np.ndarray) -> np.ndarray:
    """Return the place of every particle within its shot, from 0."""
    return np.arange(number.sum()) - np.repeat(_offsets(number)[:-1], number)


def _seen(hit: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return the classes of shots given how many of their particles were lit."""
    seen = np.where((hit == MULTIPLE) & (number == 1), SINGLE, hit)
    return np.where(number == 0, BLANK, seen).astype(np.uint8)
