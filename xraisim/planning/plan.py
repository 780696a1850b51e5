"""Is an experiment worth its beam time? Photons, sampling, orientations and patterns needed.

Everything is arithmetic on the detector's geometry and the orientational mean of |F(s)|²; nothing
is drawn. The formulas and their sources are in docs/explanation/planning.md.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from xraisim.core import so3
from xraisim.instrument.background import mean_photons
from xraisim.instrument.detector import Geometry, geometry
from xraisim.instrument.distance import far_enough
from xraisim.planning import formulas
from xraisim.planning.mean_intensity import radial_intensity
from xraisim.planning.shells import Shell, shells
from xraisim.sample.species import abundances, conformations, load_species
from xraisim.simulation.config import SimulationConfig

_SECTORS = 36  # of half a turn: Friedel's law gives the other half
_DARK = 1e-30  # photons of a pixel that tells nothing

Profile = Callable[[Float[np.ndarray, "P"]], Float[np.ndarray, "P"]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to expect of an experiment; the shells go outwards, those without pixels included.

    ``distance_mm`` of the detector's nearest pixel.
    ``edge_resolution_angstrom`` is reached in every direction (None if some direction has no
    usable pixel), ``corner_resolution_angstrom`` in the best. ``pixels_per_speckle``: pixels along
    a speckle of 1/(2D), 1 or more is needed. ``missing_speckles``: the beamstop's radius in 1/D.
    ``flat_resolution_angstrom``: √(λD), finer than which the Ewald sphere's curvature counts.
    ``orientation_photons``: fewest photons beyond 1/D that can tell an orientation. What patterns
    suffice for is at known orientations; the shells have the factor for unknown ones.
    """

    structure: str
    instrument: str
    diameter_angstrom: float
    distance_mm: float
    wavelength_angstrom: float
    fluence_photons_per_um2: float
    correlation: float
    photons_per_pattern: float
    photons_beyond_centre: float
    background_per_pattern: float
    edge_resolution_angstrom: float | None
    corner_resolution_angstrom: float
    pixels_per_speckle: float
    missing_speckles: float
    flat_resolution_angstrom: float
    orientations: int
    dragonfly_level: int
    dragonfly_orientations: int
    crowther_views: int
    orientation_photons: float
    shells: tuple[Shell, ...]

    def resolution_with(self, patterns: float) -> float | None:
        """Return d in Å up to which ``patterns`` of known orientation suffice; None if nowhere.

        The outer edge of :meth:`last_shell_with`.
        """
        reached = self.last_shell_with(patterns)
        return reached.resolution_angstrom if reached else None

    def last_shell_with(self, patterns: float) -> Shell | None:
        """Return the last shell before the first that needs more patterns; None if that is all."""
        sufficient = itertools.takewhile(lambda shell: shell.patterns <= patterns, self.shells)
        return next(iter(reversed(list(sufficient))), None)

    @property
    def oriented_resolution_angstrom(self) -> float | None:
        """The finest d in Å to which a single pattern can be oriented; None if to none."""
        told = [s for s in self.shells if math.isfinite(s.unknown_orientations_factor)]
        return told[-1].resolution_angstrom if told else None

    def patterns_to(self, resolution_angstrom: float) -> float:
        """Return the patterns needed by the most demanding shell out to d, Å."""
        inside = [s for s in self.shells if s.s_min_per_angstrom < 1 / resolution_angstrom]
        return max((shell.patterns for shell in inside), default=0.0)


def plan(
    config: SimulationConfig,
    *,
    structures: Path | str | None = None,
    fit_distance: bool = False,
    correlation: float = 0.5,
) -> Plan:
    """Return what to expect of the experiment that ``config`` describes.

    With ``fit_distance`` the detector moves back as far as the particle's speckles ask for.
    ``correlation`` is what the merged intensities should reach with the true ones in a shell
    (0.5 is the rule ``icc_truth_0.5``). Raises the :class:`UserError` family for a structure that
    cannot be read and a detector without usable pixels.
    """
    sample = conformations(config.sample, directory=structures)
    particles = [load_species(one, directory=structures) for one in sample]
    diameter = max(particle.diameter_angstrom for particle in particles)
    placed = config.detector
    if fit_distance:
        placed = far_enough(placed, config.beam, diameter)
    detector = geometry(placed, config.beam)
    means = [
        radial_intensity(
            particle, detector.s_max, one.photon_energy_ev(config.beam.photon_energy_ev)
        )
        for particle, one in zip(particles, sample, strict=True)
    ]
    shares = abundances(sample)
    return assess(
        detector,
        mean_photons(config.background, detector),
        lambda s: sum(share * mean.at(s) for share, mean in zip(shares, means, strict=True)),
        structure=", ".join(one.label for one in sample),
        instrument=config.instrument,
        diameter_angstrom=diameter,
        wavelength_angstrom=config.beam.wavelength_angstrom,
        fluence_photons_per_um2=config.beam.fluence_photons_per_um2,
        correlation=correlation,
    )


def assess(
    detector: Geometry,
    background: Float[np.ndarray, "P"],
    intensity: Profile,
    *,
    structure: str,
    instrument: str,
    diameter_angstrom: float,
    wavelength_angstrom: float,
    fluence_photons_per_um2: float,
    correlation: float = 0.5,
) -> Plan:
    """Return the plan of a detector and a mean intensity: the part without files.

    ``background`` in photons per pixel; ``intensity`` maps |s| (Å⁻¹) to electrons².
    """
    good, D = detector.good, diameter_angstrom
    radius = np.linalg.norm(detector.s[good], axis=1)
    photons = detector.gain[good] * intensity(radius)
    area = detector.solid_angle_sr[good] / wavelength_angstrom**2  # of the Ewald sphere, Å⁻²
    nats = photons * formulas.nats_per_photon(background[good] / np.maximum(photons, _DARK))
    values = np.stack([photons, background[good], area, nats * (radius > 1 / D)])
    reach = float(radius.max()) * D
    level = math.ceil(reach)
    orientations = so3.grid_size(1 / max(reach, 1.0))
    return Plan(
        structure=structure,
        instrument=instrument,
        diameter_angstrom=D,
        distance_mm=float(detector.position_mm[:, 2].min()),
        wavelength_angstrom=wavelength_angstrom,
        fluence_photons_per_um2=fluence_photons_per_um2,
        correlation=correlation,
        photons_per_pattern=float(photons.sum()),
        photons_beyond_centre=float(photons[radius > 1 / D].sum()),
        background_per_pattern=float(background[good].sum()),
        edge_resolution_angstrom=edge_resolution(detector.s[good]),
        corner_resolution_angstrom=1 / float(radius.max()),
        pixels_per_speckle=1 / (2 * D * detector.s_step),
        missing_speckles=float(radius.min()) * D,
        flat_resolution_angstrom=math.sqrt(wavelength_angstrom * D),
        orientations=orientations,
        dragonfly_level=level,
        dragonfly_orientations=formulas.dragonfly_orientations(level),
        crowther_views=formulas.crowther_views(D, float(radius.max())),
        orientation_photons=formulas.orientation_photons(orientations),
        shells=shells(radius, values, D, wavelength_angstrom, correlation),
    )


def edge_resolution(s: Float[np.ndarray, "P 3"]) -> float | None:
    """Return d (Å) that usable pixels ``s`` reach in every direction around the beam.

    The least of the largest |s| in 36 sectors, each with its opposite; None if one is empty.
    """
    sector = (np.arctan2(s[:, 1], s[:, 0]) % np.pi / np.pi * _SECTORS).astype(int) % _SECTORS
    reach = np.zeros(_SECTORS)
    np.maximum.at(reach, sector, np.linalg.norm(s, axis=1))
    return 1 / float(reach.min()) if reach.min() > 0 else None
