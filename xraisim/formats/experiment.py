"""What a foreign file does not know of its experiment, put together from file and settings."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xraisim.core import config as configuration
from xraisim.core.errors import ConfigError
from xraisim.core.settings import NotNegative, Positive, Settings
from xraisim.formats.known import Experiment, Known, plausible
from xraisim.formats.placement import place_pixels, require_usable
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector
from xraisim.instrument.presets import preset
from xraisim.instrument.ranges import require_reach


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(Settings):
    """What is said of an experiment by hand; it wins over the file, which wins over the preset.

    ``instrument``: a preset, or empty for none. ``mask_missing_modules``: pixels of a virtual data
    set whose sources are missing are masked in all patterns, in place of an error. ``beam``,
    ``detector``: any keys of :class:`Beam` and :class:`Detector`. Raises :class:`ConfigError`.
    """

    particle_diameter_angstrom: Positive | None = None
    instrument: str = ""
    mask_missing_modules: bool = False
    background_photons_per_pixel: NotNegative = 0.0
    beam: dict[str, Any] = field(default_factory=dict)
    detector: dict[str, Any] = field(default_factory=dict)


def assemble(known: Known, config: ExperimentConfig) -> Experiment:
    """Return the experiment of a file; raises :class:`ConfigError` that names what is missing.

    A pattern file knows everything and takes another diameter only.
    """
    diameter = config.particle_diameter_angstrom
    if known.experiment is not None:
        if replace(config, mask_missing_modules=False) != ExperimentConfig(
            particle_diameter_angstrom=diameter
        ):
            raise ConfigError(
                "a pattern file holds its own beam, detector and background; they cannot be given "
                "again: leave out --instrument, [beam], [detector] and the background"
            )
        if diameter is None:
            return known.experiment
        return replace(known.experiment, particle_diameter_angstrom=diameter)
    beam = _beam(known, config)
    setting = _detector(known, config)
    detector = place_pixels(known, setting, beam)
    require_usable(detector)
    if diameter is not None:
        require_reach(detector.s_max, diameter)
    background = np.full(known.pixels, config.background_photons_per_pixel)
    if known.background is not None and not config.background_photons_per_pixel:
        background = known.background
    return Experiment(
        detector=detector,
        beam=beam,
        background=background,
        particle_diameter_angstrom=diameter,
    )


def _merged(
    known: Known, config: ExperimentConfig, table: str, names: tuple[str, ...]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if config.instrument:
        values |= configuration.to_mapping(getattr(preset(config.instrument), table))
    given = getattr(config, table)
    for name in names:
        value = getattr(known, name)
        if value is not None and name not in given:
            values[name] = plausible(known, name, f"[{table}] {name} = …")
    return values | given


def _beam(known: Known, config: ExperimentConfig) -> Beam:
    values = _merged(known, config, "beam", ("photon_energy_ev", "polarisation"))
    if "photon_energy_ev" not in values:
        raise ConfigError(
            "the photon energy is not in the file; give --instrument PRESET, or in --config: "
            "[beam] photon_energy_ev = … (12398.42 / wavelength in Å)"
        )
    return configuration.from_mapping(Beam, values, "beam.")


def _detector(known: Known, config: ExperimentConfig) -> Detector:
    values = _merged(known, config, "detector", ("distance_mm", "pixel_size_mm"))
    if known.distance_pixels is not None:
        # one of the two sets the scale; the directions, and so s, do not depend on it
        if "pixel_size_mm" in values:
            values["distance_mm"] = known.distance_pixels * values["pixel_size_mm"]
        elif "distance_mm" in values:
            values["pixel_size_mm"] = values["distance_mm"] / known.distance_pixels
    elsewhere = values.get("geometry_file") or values.get("panels")
    if not elsewhere and values.get("layout", "flat") == "flat":
        _require_flat(values)
        _require_one_panel(known, config)
    fixed = {"rows": 1, "columns": known.pixels}
    if known.shape is not None:
        fixed = {"rows": known.shape[0], "columns": known.shape[1]}
    if "rows" not in config.detector and not config.instrument:
        values |= fixed
    return configuration.from_mapping(Detector, values, "detector.")


def _require_one_panel(known: Known, config: ExperimentConfig) -> None:
    placed = known.position_mm is not None or known.direction is not None
    if known.panels > 1 and not placed and not ({"rows", "columns"} & set(config.detector)):
        raise ConfigError(
            f"a pattern has {known.panels} panels, and nothing says where they are; give "
            "--instrument PRESET, or in --config: [detector] geometry_file (CrystFEL) or layout, "
            "or rows and columns of the whole if they do lie below one another"
        )


def _require_flat(values: dict[str, Any]) -> None:
    missing = [name for name in ("distance_mm", "pixel_size_mm") if name not in values]
    if missing:
        raise ConfigError(
            f"the detector's {' and '.join(missing)} are not in the file; give --instrument PRESET,"
            f" or in --config: [detector] {', '.join(f'{name} = …' for name in missing)}"
        )
