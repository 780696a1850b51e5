"""What a foreign file does not know of its experiment, put together from file and settings."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xraisim.core import config as configuration
from xraisim.core.errors import ConfigError, FormatError, SamplingError
from xraisim.core.units import CLASSICAL_ELECTRON_RADIUS_UM
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import (
    Detector,
    Geometry,
    MaskReason,
    geometry,
    polarisation_factor,
    scattering_vectors,
    square_pixel_step,
)
from xraisim.instrument.panels import Panel
from xraisim.instrument.presets import preset
from xraisim.instrument.ranges import QUANTITIES, require, require_reach


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a pattern file says beside its photons.

    ``background`` is photons per pixel, float [P]; the diameter is None where nobody knows it.
    """

    detector: Geometry
    beam: Beam
    background: np.ndarray
    particle_diameter_angstrom: float | None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a file says of its experiment; ``None`` where it says nothing.

    ``pixels``: per pattern. ``shape``: rows and columns, ``panels`` below one another in it.
    ``centre``: row and column of the beam, in pixels. ``pixel_height_mm``, where it is not the
    width. ``position_mm`` [P, 3], or at least ``direction`` [P, 3], unit vectors to the pixels.
    ``distance_pixels``: the distance in pixel sizes. ``solid_angle_sr``, ``polarisation_factor``,
    ``background`` [P]; ``mask`` bool [P], True where unused. ``experiment``: all of it. ``units``:
    the unit in which the file has a number, by the name here, where it is not ours.
    """

    pixels: int
    shape: tuple[int, int] | None = None
    panels: int = 1
    photon_energy_ev: float | None = None
    polarisation: str | None = None
    distance_mm: float | None = None
    pixel_size_mm: float | None = None
    pixel_height_mm: float | None = None
    distance_pixels: float | None = None
    centre: tuple[float, float] | None = None
    position_mm: np.ndarray | None = None
    direction: np.ndarray | None = None
    solid_angle_sr: np.ndarray | None = None
    polarisation_factor: np.ndarray | None = None
    mask: np.ndarray | None = None
    background: np.ndarray | None = None
    experiment: Experiment | None = None
    units: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """What is said of an experiment by hand; it wins over the file, which wins over the preset.

    ``instrument``: a preset, or empty for none. ``mask_missing_modules``: pixels of a virtual data
    set whose sources are missing are masked in all patterns, in place of an error. ``beam``,
    ``detector``: any keys of :class:`Beam` and :class:`Detector`. Raises :class:`ConfigError`.
    """

    particle_diameter_angstrom: float | None = None
    instrument: str = ""
    mask_missing_modules: bool = False
    background_photons_per_pixel: float = 0.0
    beam: dict[str, Any] = field(default_factory=dict)
    detector: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        diameter = self.particle_diameter_angstrom
        if diameter is not None and not (math.isfinite(diameter) and diameter > 0):
            raise ConfigError(
                f"particle_diameter_angstrom is {diameter}; it must be a positive number"
            )
        if not 0 <= self.background_photons_per_pixel < math.inf:
            raise ConfigError(
                f"background_photons_per_pixel is {self.background_photons_per_pixel}; it must be "
                "zero or positive"
            )


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
    detector = _geometry(known, setting, beam)
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


def _merged(known: Known, config: ExperimentConfig, table: str, names: tuple[str, ...]) -> dict:
    values: dict[str, Any] = {}
    if config.instrument:
        values |= configuration.to_mapping(getattr(preset(config.instrument), table))
    given = getattr(config, table)
    for name in names:
        value = getattr(known, name)
        if value is not None and name not in given:
            values[name] = _plausible(known, name, f"[{table}] {name} = …")
    return values | given


def _plausible(known: Known, name: str, setting: str) -> Any:
    """Return what the file says, or raise :class:`FormatError` if no experiment has it."""
    value = getattr(known, name)
    if name not in QUANTITIES:
        return value
    return require(
        name,
        value,
        where="the file",
        advice=f"if the file is wrong, say what is right in --config: {setting}",
        unit=known.units.get(name, ""),
        error=FormatError,
    )


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


def _geometry(known: Known, setting: Detector, beam: Beam) -> Geometry:
    position = known.position_mm
    if position is None and known.direction is not None:
        position = known.direction * (setting.distance_mm / known.direction[:, 2:])
    if position is not None:
        _require_place(known, position)
        return _placed(known, setting, beam, position)
    setting = _oblong(known, setting)
    placed = geometry(setting, beam)
    if len(placed.reasons) != known.pixels:
        raise ConfigError(
            f"the file's patterns have {known.shape or known.pixels} pixels, the detector given "
            f"{placed.shape}; they must agree: choose another instrument, or set the table's "
            "[detector] rows and columns, or leave them out"
        )
    if setting.geometry_file and known.shape is not None and known.shape != placed.shape:
        raise ConfigError(
            f"the file's patterns are {known.shape[0]} × {known.shape[1]} pixels, the data that "
            f"{setting.geometry_file} is for {placed.shape[0]} × {placed.shape[1]}; they must "
            "agree, or the panels' pixels are mixed up"
        )
    if known.centre is not None:
        row, column = known.centre
        size = setting.pixel_size_mm, _height(known, setting), 0.0
        shift = ((setting.columns - 1) / 2 - column, (setting.rows - 1) / 2 - row, 0.0)
        return _placed(known, setting, beam, placed.position_mm + np.multiply(shift, size))
    return replace(placed, reasons=placed.reasons | _file_reason(known))


def _height(known: Known, setting: Detector) -> float:
    """Return the height of a pixel, mm: the file's, if its width is the file's too."""
    if known.pixel_height_mm is None or setting.pixel_size_mm != known.pixel_size_mm:
        return setting.pixel_size_mm
    height: float = _plausible(known, "pixel_height_mm", "[detector] pixel_size_mm, layout, panels")
    return height


def _oblong(known: Known, setting: Detector) -> Detector:
    """Return the setting of a flat detector with the pixels' height that the file states."""
    width, height = setting.pixel_size_mm, _height(known, setting)
    elsewhere = setting.geometry_file or setting.panels or setting.layout != "flat"
    if elsewhere or abs(height / width - 1) < 1e-6:
        return setting
    panel = Panel(
        name="flat",
        rows=setting.rows,
        columns=setting.columns,
        corner_mm=(-0.5 * setting.columns * width, -0.5 * setting.rows * height, 0.0),
        fs_mm=(width, 0.0, 0.0),
        ss_mm=(0.0, height, 0.0),
    )
    return replace(setting, panels=(panel,))


def _file_reason(known: Known) -> np.ndarray:
    mask = np.zeros(known.pixels, bool) if known.mask is None else known.mask
    return np.where(mask, MaskReason.FILE, 0).astype(np.uint8)


def _placed(known: Known, setting: Detector, beam: Beam, position: np.ndarray) -> Geometry:
    """Return the geometry of pixels whose places are known one by one."""
    s = scattering_vectors(position, beam.wavelength_angstrom)
    solid_angle, factor = known.solid_angle_sr, known.polarisation_factor
    if solid_angle is None:
        rho = np.linalg.norm(position, axis=1)
        area = setting.pixel_size_mm * _height(known, setting)
        solid_angle = area * position[:, 2] / rho**3  # pixels facing the beam
    if factor is None:
        factor = polarisation_factor(position, beam.polarisation)
    if setting.mask_file or setting.binning != 1:
        raise ConfigError(
            "detector.mask_file and binning do not go with a file that places its own pixels; put "
            "the mask into that file, and bin beforehand"
        )
    radius, reasons = np.linalg.norm(s, axis=1), _file_reason(known)
    stopped = np.hypot(position[:, 0], position[:, 1]) < setting.beamstop_radius_mm
    outside = (radius < setting.s_min_per_angstrom) | (radius > setting.s_max_per_angstrom)
    reasons[stopped] |= np.uint8(MaskReason.BEAMSTOP)
    reasons[outside] |= np.uint8(MaskReason.RANGE)
    per_steradian = beam.fluence_photons_per_um2 * CLASSICAL_ELECTRON_RADIUS_UM**2
    return Geometry(
        shape=_shape(known, setting),
        position_mm=position,
        s=s,
        solid_angle_sr=solid_angle,
        polarisation=factor,
        gain=per_steradian * solid_angle * factor,
        panel=np.zeros(known.pixels, np.int32),
        s_step=square_pixel_step(solid_angle, beam.wavelength_angstrom),
        reasons=reasons,
    )


def _shape(known: Known, setting: Detector) -> tuple[int, int]:
    """Return the file's rows and columns, else those given if they fit, else one row."""
    given = setting.rows, setting.columns
    if known.shape is not None:
        return known.shape
    return given if given[0] * given[1] == known.pixels else (1, known.pixels)


def _require_place(known: Known, position: np.ndarray) -> None:
    """Raise unless the usable pixels are downstream, and as far as detectors are."""
    used = position if known.mask is None or known.mask.all() else position[~known.mask]
    nearest, middle = float(used[:, 2].min()), float(np.median(used[:, 2]))
    problem = QUANTITIES["distance_mm"].problem(middle, known.units.get("position_mm", ""))
    if not problem and not nearest > 0:
        problem = f"a usable pixel lies at z = {nearest:.5g} mm, upstream of the particle"
    if problem:
        raise FormatError(
            f"the file, on where its pixels are: {problem}; mend the file, or convert the frames "
            "as a plain stack (--from h5 --dataset PATH) with [detector] geometry_file"
        )


def require_usable(detector: Geometry) -> None:
    """Raise :class:`SamplingError` if no pixel is usable, or a usable one sees no solid angle."""
    good = detector.good
    if not len(good):
        raise SamplingError(
            f"all {len(detector.mask)} pixels are masked; check the masks of file and settings"
        )
    gain = detector.gain[good]
    if not (np.isfinite(gain) & (gain > 0)).all():
        pixel = int(good[np.argmin(np.isfinite(gain) & (gain > 0))])
        raise SamplingError(
            f"pixel {pixel} sees a solid angle of {detector.solid_angle_sr[pixel]:.4g} sr with a "
            f"polarisation factor of {detector.polarisation[pixel]:.4g}; both must be positive "
            "where a pixel is used: mask it"
        )


def pixel_pitch_mm(detector: Geometry) -> float:
    """Return the pixel size that the solid angles p²·z/ρ³ of pixels facing the beam stand for."""
    position = detector.position_mm
    area = detector.solid_angle_sr * np.linalg.norm(position, axis=1) ** 3 / position[:, 2]
    return float(np.sqrt(np.median(area[area > 0])))  # 0 where no panel is
