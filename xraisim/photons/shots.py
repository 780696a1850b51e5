"""What each pulse met: the particles that it lit, and the exposures that add up on the detector.

A shot is a few exposures, each one particle seen at one photon energy. Their intensities add
(:class:`ExpectedPhotons`). Interference between particles of one shot is left out: its fringes,
1/distance wide, are finer than a pixel.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float32, Int, Int32, Int64, UInt8

from xraisim.core import so3
from xraisim.core.errors import ConfigError
from xraisim.core.random import uniforms
from xraisim.instrument.beam import Beam, FluenceSpread
from xraisim.instrument.spectrum import draw_spectrum, largest_scale
from xraisim.photons.hits import BLANK, CONTAMINANT, MULTIPLE, SINGLE, Hits
from xraisim.photons.sizes import draw_sizes, largest_size

_PER_EXPOSURE = ("particle", "model", "orientation", "weight", "scale")
_PER_SHOT = ("fluence", "strength", "energy", "hit")


@dataclass(frozen=True, kw_only=True)
class ShotRecipe:
    """What the shots of a data set are drawn from.

    ``species_weights``: how often each kind of particle comes, up to a factor; kind k is intensity
    volume k. The volume after them, ``contaminant_model``, is the contaminant sphere of radius
    ``hits.contaminant_radius_angstrom``; it is needed where ``hits.contaminant_fraction`` > 0.
    ``size_spreads``: of each kind, the standard deviation of ln(size); none given: all alike.
    ``strength``: of the background, from shot to shot. Raises :class:`ConfigError`.
    """

    beam: Beam = field(default_factory=Beam)
    fluence: FluenceSpread = field(default_factory=FluenceSpread)
    hits: Hits = field(default_factory=Hits)
    strength: FluenceSpread = field(default_factory=lambda: FluenceSpread(distribution="constant"))
    species_weights: tuple[float, ...] = (1.0,)
    size_spreads: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        valid = all(math.isfinite(w) and w >= 0 for w in self.species_weights)
        if not (valid and sum(self.species_weights) > 0):
            raise ConfigError(
                f"the species have the weights {self.species_weights}; expected numbers from 0 up, "
                "at least one of them positive"
            )
        if len(self.size_spreads) not in (0, len(self.species_weights)):
            raise ConfigError(
                f"{len(self.species_weights)} species have {len(self.size_spreads)} spreads of "
                "size; expected one for each, or none"
            )

    @property
    def contaminant_model(self) -> int:
        """The number of the contaminant's intensity volume."""
        return len(self.species_weights)

    def largest_scale(self, model: int) -> float:
        """Return the largest ``scale`` that an exposure of volume ``model`` can have.

        The volume must reach this many times the detector's largest |s|.
        """
        return self.largest_size(model) * largest_scale(self.beam)

    def largest_size(self, model: int) -> float:
        """Return the largest size of a particle of volume ``model``, relative to the volume's."""
        if model == self.contaminant_model:
            return self.hits.largest_size
        return largest_size(self.size_spreads[model]) if self.size_spreads else 1.0


@dataclass(frozen=True, kw_only=True)
class Particles:
    """The particles lit in n shots, k in all (compressed sparse rows over shots).

    Shot i has particles ``offsets[i]:offsets[i + 1]``. ``model``: which intensity volume.
    ``orientation``: quaternions. ``fluence``: on the particle, relative to J₀. ``size``: of a
    body or a contaminant over that of its volume, 1 for atoms.
    """

    offsets: Int64[np.ndarray, "n1"]
    model: Int32[np.ndarray, "k"]
    orientation: Float32[np.ndarray, "k 4"]
    fluence: Float32[np.ndarray, "k"]
    size: Float32[np.ndarray, "k"]

    @property
    def weight(self) -> Float32[np.ndarray, "k"]:
        """What multiplies the intensity at size·s: a homogeneous body's goes as size⁶."""
        return self.fluence * self.size**6

    @property
    def shot(self) -> Int64[np.ndarray, "k"]:
        """The number of each particle's shot, counted from the first of the block."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def rank(self) -> Int64[np.ndarray, "k"]:
        """The place of each particle within its shot, from 0."""
        return np.arange(len(self.model)) - self.offsets[self.shot]


@dataclass(frozen=True, kw_only=True)
class Shots:
    """A block of n shots with m exposures (compressed sparse rows over shots).

    Shot i has exposures ``offsets[i]:offsets[i + 1]``, none if blank; sorted by particle, then by
    spectral line. ``particle``: which of the shot's particles, from 0; the lines of one share it.
    ``model``: which intensity volume. ``orientation``: quaternions. ``weight``: fluence relative to
    J₀, times what else scales the intensity. ``scale``: by what the scattering vectors are
    multiplied, E/E₀ for a photon energy. ``fluence``: φ, summed over the shot's particles; 0 if
    blank. ``strength``: of the background, mean 1. ``energy``: the pulse's mean photon energy over
    E₀. ``hit``: BLANK, SINGLE, MULTIPLE or CONTAMINANT.
    """

    offsets: Int64[np.ndarray, "n1"]
    particle: Int32[np.ndarray, "m"]
    model: Int32[np.ndarray, "m"]
    orientation: Float32[np.ndarray, "m 4"]
    weight: Float32[np.ndarray, "m"]
    scale: Float32[np.ndarray, "m"]
    fluence: Float32[np.ndarray, "n"]
    strength: Float32[np.ndarray, "n"]
    energy: Float32[np.ndarray, "n"]
    hit: UInt8[np.ndarray, "n"]

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


def draw_orientations(
    seed: int, indices: Int[np.ndarray, "n"], stream: str = "orientation"
) -> Float32[np.ndarray, "n 4"]:
    """Return the uniform random orientations of patterns ``indices``."""
    u = torch.from_numpy(uniforms(seed, stream, indices, 3))
    return so3.haar_from_uniforms(u).float().numpy()


def draw_particles(
    recipe: ShotRecipe, seed: int, indices: Int[np.ndarray, "n"]
) -> tuple[Particles, UInt8[np.ndarray, "n"]]:
    """Return the particles of shots ``indices`` and the class of each shot.

    A particle outside a top-hat focus gets no photons and is left out; a shot that loses all of
    its particles so is blank, one that keeps one particle of several is a single hit.
    """
    hit, number = recipe.hits.draw(seed, indices)
    met = _draw_met(recipe, seed, indices, number)
    met.fluence[:] *= recipe.beam.draw_pulse_energy(seed, indices)[met.shot]
    foreign = np.flatnonzero(hit[met.shot] == CONTAMINANT)
    met.model[foreign] = recipe.contaminant_model
    met.size[foreign] = recipe.hits.draw_sizes(seed, indices[met.shot[foreign]])
    lit = np.flatnonzero(met.fluence > 0)
    number = np.bincount(met.shot[lit], minlength=len(indices))
    particles = Particles(
        offsets=_offsets(number),
        model=met.model[lit],
        orientation=met.orientation[lit],
        fluence=met.fluence[lit],
        size=met.size[lit],
    )
    hit = np.where((hit == MULTIPLE) & (number == 1), SINGLE, hit)
    return particles, np.where(number == 0, BLANK, hit).astype(np.uint8)


def _draw_met(
    recipe: ShotRecipe, seed: int, indices: Int[np.ndarray, "n"], number: Int[np.ndarray, "n"]
) -> Particles:
    """Return ``number`` particles per shot, each with a species, orientation and place.

    The first particle of a shot has random streams of its own, and so has the second, and so on.
    """
    k = int(number.sum())
    met = Particles(
        offsets=_offsets(number),
        model=np.zeros(k, np.int32),
        orientation=np.empty((k, 4), np.float32),
        fluence=np.empty(k, np.float32),
        size=np.ones(k, np.float32),
    )
    shot, rank = met.shot, met.rank
    for r in range(number.max(initial=0)):
        rows = np.flatnonzero(rank == r)
        which, suffix = indices[shot[rows]], f"/{r}" if r else ""
        met.model[rows] = _draw_species(recipe, seed, which, f"species{suffix}")
        met.orientation[rows] = draw_orientations(seed, which, f"orientation{suffix}")
        if any(recipe.size_spreads):
            spread = np.asarray(recipe.size_spreads)[met.model[rows]]
            met.size[rows] = draw_sizes(spread, seed, which, f"size{suffix}")
        pulse = recipe.fluence.draw(seed, which, f"fluence{suffix}")
        met.fluence[rows] = pulse * recipe.beam.draw_focus(seed, which, f"position{suffix}")
    return met


def _draw_species(
    recipe: ShotRecipe, seed: int, indices: Int[np.ndarray, "n"], stream: str
) -> Int64[np.ndarray, "n"]:
    weights = np.asarray(recipe.species_weights)
    if len(weights) == 1:
        return np.zeros(len(indices), np.int64)
    cumulative = np.cumsum(weights / weights.sum())[:-1]
    return np.searchsorted(cumulative, uniforms(seed, stream, indices, 1)[:, 0], side="right")


def _offsets(number: Int[np.ndarray, "n"]) -> Int64[np.ndarray, "n+1"]:
    """Return where each shot's particles start, and the end of the last."""
    return np.concatenate([[0], np.cumsum(number, dtype=np.int64)])
