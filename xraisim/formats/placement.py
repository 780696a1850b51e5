"""The detector of a foreign file: its pixels where file and settings put them."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64, UInt8

from xraisim.core.errors import ConfigError, FormatError, SamplingError
from xraisim.core.units import CLASSICAL_ELECTRON_RADIUS_UM
from xraisim.formats.known import Known, plausible
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
from xraisim.instrument.ranges import QUANTITIES


def place_pixels(known: Known, setting: Detector, beam: Beam) -> Geometry:
    """Return the geometry of a file's pixels in a beam.

    Raises the :class:`UserError` family if file and settings do not agree, or say what cannot be.
    """
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
    height: float = plausible(known, "pixel_height_mm", "[detector] pixel_size_mm, layout, panels")
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


def _file_reason(known: Known) -> UInt8[np.ndarray, "P"]:
    mask = np.zeros(known.pixels, bool) if known.mask is None else known.mask
    return np.where(mask, MaskReason.FILE, 0).astype(np.uint8)


def _placed(
    known: Known, setting: Detector, beam: Beam, position: Float64[np.ndarray, "P 3"]
) -> Geometry:
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


def _require_place(known: Known, position: Float64[np.ndarray, "P 3"]) -> None:
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
