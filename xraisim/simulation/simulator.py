"""An experiment set up from its configuration: it says what shot i meets and draws its photons.

Structures → intensity volumes |F(s)|² → expected photons λ → k ~ Poisson(λ) → read-out.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xraisim.core.errors import SamplingError
from xraisim.core.types import Photons
from xraisim.instrument.background import mean_photons
from xraisim.instrument.defects import DEAD, respond
from xraisim.instrument.detector import Geometry, geometry
from xraisim.instrument.distance import far_enough
from xraisim.instrument.readout import counted, saturate
from xraisim.photons.draw import PhotonSampler
from xraisim.photons.expected import ExpectedPhotons
from xraisim.photons.shots import ShotRecipe, Shots, draw_shots
from xraisim.photons.torch_draw import TorchPhotonSampler
from xraisim.sample.shapes import Body
from xraisim.sample.species import abundances, checksums, conformations, load_species
from xraisim.scattering.friedel import Scatterer
from xraisim.scattering.intensity import VOXELS_PER_SPECKLE, IntensitySpline, intensity_spline
from xraisim.simulation.config import SimulationConfig, from_mapping

#: voxels per 1/D for an error below 1 % in every shell; sharp edges need more than atoms
_ATOMS_VOXELS, _BODY_VOXELS = VOXELS_PER_SPECKLE, 5.0


class Simulator:
    """An experiment that can be asked for any of its shots.

    ``config``; ``geometry``: the detector as the experimenter believes it to be; ``background``
    float64 [P]: the mean that the experimenter knows, photons; ``diameter_angstrom``: of the
    largest species, at its median size; ``defect`` uint8 [P]: the pixels' true states;
    ``species``: every volume's name. Raises the :class:`UserError` family for what cannot be
    simulated.
    """

    def __init__(
        self,
        config: SimulationConfig | dict[str, Any],
        *,
        structures: Path | str | None = None,
        fit_distance: bool = False,
    ) -> None:
        """Read the structures (sought in ``structures`` first) and make the intensity volumes.

        ``config``: a configuration, or the mapping that a TOML file of one gives; with
        ``fit_distance`` its detector moves back as far as the largest particle's speckles ask for.
        """
        config = config if isinstance(config, SimulationConfig) else from_mapping(config)
        self._directory = structures
        self._sample = conformations(config.sample, directory=structures)
        particles = [load_species(one, directory=structures) for one in self._sample]
        self.diameter_angstrom = max(particle.diameter_angstrom for particle in particles)
        if fit_distance:
            moved = far_enough(config.detector, config.beam, self.diameter_angstrom)
            config = dataclasses.replace(config, detector=moved)
        self.config = config
        detector = geometry(config.detector, config.beam)
        response = respond(detector, config.defects, config.seed)
        self.geometry, self.defect = response.believed, response.defect
        background = mean_photons(config.background, self.geometry)
        self.background = background if config.background.told else np.zeros_like(background)
        self._recipe = ShotRecipe(
            beam=config.beam,
            fluence=config.fluence,
            hits=config.hits,
            strength=config.background.strength,
            species_weights=tuple(abundances(self._sample)),
            size_spreads=tuple(one.size_spread for one in self._sample),
        )
        expected = ExpectedPhotons(
            self._make_volumes(particles),
            self.geometry,
            gain=response.gain,
            background=np.where(self.defect == DEAD, 0.0, background),
            extra=response.extra_photons,
        )
        self._sampler = (
            TorchPhotonSampler(expected, seed=config.seed, device="cuda")
            if config.engine == "cuda"
            else PhotonSampler(expected, seed=config.seed)
        )

    @property
    def species(self) -> tuple[str, ...]:
        """The names of the species, in the order of the shots' ``model``."""
        return tuple(one.label for one in self._sample)

    @property
    def draw_version(self) -> int:
        """Of what draws the photons: the same version and seed give the same photons."""
        return self._sampler.version

    def shots(self, first: int, n: int) -> Shots:
        """Return what shots ``first … first + n − 1`` meet: the truth."""
        return draw_shots(self._recipe, self.config.seed, first, n)

    def photons(self, first: int, n: int) -> Photons:
        """Return the photons counted in shots ``first … first + n − 1``, flat detector indices.

        k ~ Poisson(λ) of :class:`ExpectedPhotons`, as the detector reads it out.
        """
        drawn = self._sampler.draw(self.shots(first, n), first)
        drawn = saturate(drawn, self.config.detector.saturation_photons)
        return counted(drawn, self.geometry, self.config.readout, self.config.seed, first)

    @cached_property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of every structure file that the sample is made of, by file name."""
        return checksums(self._sample, directory=self._directory)

    def _make_volumes(self, particles: Sequence[Scatterer]) -> list[IntensitySpline]:
        """Return the volumes of every species, and of the contaminant where there is one."""
        energies = [one.photon_energy_ev(self.config.beam.photon_energy_ev) for one in self._sample]
        hits = self.config.hits
        if hits.contaminant_fraction > 0:
            sphere = Body(
                shape="sphere",
                size_angstrom=2 * hits.contaminant_radius_angstrom,
                electrons_per_angstrom3=hits.contaminant_electrons_per_angstrom3,
            )
            particles, energies = [*particles, sphere], [*energies, None]
        largest = max(
            particle.diameter_angstrom * self._recipe.largest_size(model)
            for model, particle in enumerate(particles)
        )
        check_speckle_sampling(largest, self.geometry, self._wavelength)
        return self._volumes(particles, energies)

    def _volumes(
        self, particles: Sequence[Scatterer], energies: Sequence[float | None]
    ) -> list[IntensitySpline]:
        s_max = self.geometry.s_max
        return [
            intensity_spline(
                particle,
                s_max * self._recipe.largest_scale(model),
                energy,
                voxels_per_speckle=_BODY_VOXELS if isinstance(particle, Body) else _ATOMS_VOXELS,
            )
            for model, (particle, energy) in enumerate(zip(particles, energies, strict=True))
        ]

    @property
    def _wavelength(self) -> float:
        return self.config.beam.wavelength_angstrom


def check_speckle_sampling(
    diameter_angstrom: float, detector: Geometry, wavelength_angstrom: float
) -> None:
    """Check that the pixels resolve the particle's speckles, 1/(2D) wide.

    Above 1/D from pixel to pixel neighbouring speckles fall on one pixel: :class:`SamplingError`.
    Between 1/(2D) and 1/D, a :class:`UserWarning`.
    """
    ratio = 2 * diameter_angstrom * detector.s_step
    if ratio <= 1:
        return
    distance = float(detector.position_mm[:, 2].min())
    pixel = wavelength_angstrom * distance * detector.s_step
    advice = (
        f"speckles of a {diameter_angstrom:.0f} Å particle are 1/(2D) = "
        f"{0.5 / diameter_angstrom:.3g} Å⁻¹ wide and the pixels are {detector.s_step:.3g} Å⁻¹ "
        f"apart; sample them with pixels of {pixel / ratio:.3g} mm or less at {distance:g} mm "
        f"(less binning), or {distance * ratio:.4g} mm away or farther"
    )
    if ratio > 2:
        raise SamplingError(f"the particle is too large for the pixel size: {advice}")
    warnings.warn(f"speckles are undersampled: {advice}", stacklevel=2)
