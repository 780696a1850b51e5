"""Simulated patterns as a data set that is nowhere: drawn when they are asked for."""

from pathlib import Path
from typing import Any

from xraisim.core import config as configuration
from xraisim.core.types import Photons
from xraisim.files.pixel_order import PixelOrder
from xraisim.files.truth import Truth
from xraisim.simulation.config import SimulationConfig
from xraisim.simulation.simulator import Simulator


class SimulatedPatterns:
    """The patterns of a simulation, drawn in memory whenever they are read.

    The same as :class:`PatternReader` to a reconstructor, and the same patterns as
    a file made with that configuration would hold. It knows no more than such a file.
    """

    def __init__(self, simulator: Simulator) -> None:
        beam = simulator.config.beam
        self._simulator, self.path = simulator, Path("simulated")
        self.n_patterns, self.detector_shape = simulator.config.patterns, simulator.geometry.shape
        self._order = PixelOrder.of(
            simulator.geometry.s,
            simulator.geometry.gain,
            simulator.background,
            simulator.geometry.mask,
            simulator.geometry.shape,
        )
        self.pixels = self._order.pixels
        self.info: dict[str, Any] = {
            "photon_energy_ev": beam.photon_energy_ev,
            "wavelength_angstrom": beam.wavelength_angstrom,
            "fluence_photons_per_um2": beam.fluence_photons_per_um2,
            "particle_diameter_angstrom": simulator.diameter_angstrom,
            "detector_shape": simulator.geometry.shape,
            "provenance": {},
        }

    def __enter__(self) -> "SimulatedPatterns":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: there is no file."""

    def read_raw(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` with flat detector indices."""
        if not 0 <= start <= stop <= self.n_patterns:
            raise ValueError(f"patterns {start} … {stop} asked for, there are {self.n_patterns}")
        return self._simulator.photons(start, stop - start)

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` as numbers into ``pixels``."""
        return self._order.ranked(self.read_raw(start, stop))


def stream(
    config: SimulationConfig | dict[str, Any], *, structures: Path | str | None = None
) -> SimulatedPatterns:
    """Return the patterns of a simulation without a file, for a reconstructor to read.

    ``config``: a configuration, or the mapping that a TOML file of one gives. ``structures`` is a
    directory to look for structures in. Raises the :class:`UserError` family.
    """
    return SimulatedPatterns(Simulator(config, structures=structures))


def stream_with_truth(
    config: SimulationConfig | dict[str, Any], *, structures: Path | str | None = None
) -> tuple[SimulatedPatterns, Truth]:
    """Return the patterns as :func:`stream` does, and apart from them what they are made of.

    The truth is what the truth file of such patterns would hold.
    """
    simulator = Simulator(config, structures=structures)
    shots = simulator.shots(0, simulator.config.patterns)
    truth = Truth(
        fluence=shots.fluence,
        strength=shots.strength,
        energy=shots.energy,
        hits=shots.hit,
        particles=shots.particles(),
        species=tuple(simulator.species),
        seed=simulator.config.seed,
        draw_version=simulator.draw_version,
        structures_sha256=simulator.checksums,
        config=configuration.dumps(simulator.config),
        salt="",
        defect=simulator.defect,
    )
    return SimulatedPatterns(simulator), truth
