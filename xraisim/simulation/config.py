"""What determines a data set: its configuration."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from xraisim.core import config as configuration
from xraisim.core.errors import ConfigError
from xraisim.core.settings import Count, DataSeed, OneOf, Settings, Whole
from xraisim.instrument.background import Background
from xraisim.instrument.beam import Beam, FluenceSpread
from xraisim.instrument.defects import Defects
from xraisim.instrument.detector import Detector
from xraisim.instrument.presets import preset
from xraisim.instrument.readout import Readout
from xraisim.photons.hits import Hits
from xraisim.sample.solvent import Solvent
from xraisim.sample.species import Species

_OF_ONE_STRUCTURE = (
    "structure",
    "chains",
    "assembly",
    "model",
    "b_factors",
    "anomalous",
    "add_hydrogens",
    "solvent",
)


@dataclass(frozen=True, kw_only=True)
class SimulationConfig(Settings):
    """Everything that determines a data set.

    ``structure`` to ``solvent`` describe a sample of one structure (:class:`Species`); ``species``
    replaces them where there are several, or bodies. ``patterns``: how many, over all shards.
    ``instrument``: the preset that ``beam`` and ``detector`` started from. ``engine``: what draws
    the photons, ``"cpu"`` or ``"cuda"``; the distribution is the same, the random numbers are not.
    """

    structure: str = "4v5d"
    chains: str = "*"
    assembly: str = ""
    model: Whole = 0
    b_factors: bool = True
    anomalous: bool = True
    add_hydrogens: bool = False
    solvent: Solvent = field(default_factory=Solvent)
    species: tuple[Species, ...] = ()
    patterns: Count = 1000
    seed: DataSeed = 0
    engine: Annotated[str, OneOf("cpu", "cuda")] = "cpu"
    instrument: str = "xrai2025"
    beam: Beam = field(default_factory=lambda: preset("xrai2025").beam)
    detector: Detector = field(default_factory=lambda: preset("xrai2025").detector)
    defects: Defects = field(default_factory=Defects)
    readout: Readout = field(default_factory=Readout)
    fluence: FluenceSpread = field(default_factory=FluenceSpread)
    hits: Hits = field(default_factory=Hits)
    background: Background = field(default_factory=Background)

    @property
    def sample(self) -> tuple[Species, ...]:
        """The species in the beam."""
        if self.species:
            return self.species
        return (Species(**{name: getattr(self, name) for name in _OF_ONE_STRUCTURE}),)


def from_mapping(mapping: dict[str, Any]) -> SimulationConfig:
    """Build a configuration whose ``beam`` and ``detector`` tables override the preset's keys.

    Raises :class:`ConfigError` for keys and values that make no sense.
    """
    _refuse_old_keys(mapping)
    _refuse_two_samples(mapping)
    chosen = preset(mapping.get("instrument", "xrai2025"))
    merged = dict(mapping)
    for name in ("beam", "detector"):
        given = mapping.get(name, {})
        if not isinstance(given, dict):
            raise ConfigError(f"{name} must be a table, found {given!r}")
        merged[name] = {**configuration.to_mapping(getattr(chosen, name)), **given}
    return configuration.from_mapping(SimulationConfig, merged)


def _refuse_old_keys(mapping: dict[str, Any]) -> None:
    if "background_photons_per_pixel" in mapping:
        raise ConfigError(
            "background_photons_per_pixel is now photons_per_pixel in the table [background]"
        )


def _refuse_two_samples(mapping: dict[str, Any]) -> None:
    if not mapping.get("species"):
        return
    default = configuration.to_mapping(SimulationConfig())
    given = [
        name for name in _OF_ONE_STRUCTURE if mapping.get(name, default[name]) != default[name]
    ]
    if given:
        raise ConfigError(
            f"both [[species]] and {', '.join(given)} are given; say what the sample is in one of "
            "the two ways"
        )
