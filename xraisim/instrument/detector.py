"""The detector: where its pixels are, what scattering vector each sees, which are usable."""

import enum
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32, Int64, UInt8

from xraisim.core import npy
from xraisim.core.errors import ConfigError, SamplingError, reading
from xraisim.core.settings import Count, NotNegative, Positive, Range, Settings, Whole
from xraisim.core.units import CLASSICAL_ELECTRON_RADIUS_UM
from xraisim.instrument.beam import Beam
from xraisim.instrument.crystfel import read_geometry
from xraisim.instrument.layouts import LAYOUTS, check_layout
from xraisim.instrument.panels import Layout, Panel
from xraisim.instrument.ranges import GIVE_OURS, require


class MaskReason(enum.IntFlag):
    """Why a pixel is not used; reasons add up."""

    BEAMSTOP = 1
    RANGE = 2
    FILE = 4
    DEFECT = 8
    BAD_REGION = 16
    SATURATED = 32


@dataclass(frozen=True, kw_only=True)
class Detector(Settings, table="detector"):
    """Pixels in space, and which of them are used.

    Where they are comes from the first of: ``geometry_file``, a CrystFEL ``.geom``; ``panels``;
    ``layout``, a name in :data:`LAYOUTS`; or, for the layout ``"flat"``, a square
    grid of ``rows`` × ``columns`` pixels of ``pixel_size_mm`` centred on the beam and perpendicular
    to it, columns along x and rows along y. Panels are stacked along the rows: pixel (row, column)
    of a panel has the flat index ``row * columns + column`` after all pixels of earlier panels; a
    geometry file says itself where in the data each panel is.
    ``distance_mm`` from the particle holds unless the geometry file states its own.

    ``binning``: so many × so many pixels of a panel are read out as one; rows and columns left over
    at a panel's end are dropped. ``saturation_photons``: the largest count of a pixel, 0 for none.

    Pixels inside the circular beamstop, outside ``s_min … s_max`` (Å⁻¹), non-zero in the mask file
    (``.npy``, rows × columns before binning) or bad by the geometry file are not used; a binned
    pixel is not if one of its pixels is not.
    """

    layout: str = "flat"
    rows: Count = 128
    columns: Count = 128
    pixel_size_mm: Positive = 100.0 / 128
    distance_mm: Positive = 200.0
    panels: tuple[Panel, ...] = ()
    geometry_file: str = ""
    binning: Count = 1
    saturation_photons: Whole = 0
    beamstop_radius_mm: NotNegative = 0.0
    s_min_per_angstrom: NotNegative = 0.0
    s_max_per_angstrom: Annotated[float, Range(above=0, most=math.inf)] = math.inf
    mask_file: str = ""

    def check(self) -> None:
        """Refuse an unknown layout, and a range of s without an inside."""
        check_layout(self.layout)
        for name in ("pixel_size_mm", "distance_mm"):
            require(name, getattr(self, name), where="detector", advice=GIVE_OURS)
        if not self.s_max_per_angstrom > self.s_min_per_angstrom:
            raise ConfigError(
                f"detector keeps s from {self.s_min_per_angstrom} to {self.s_max_per_angstrom} Å⁻¹;"
                " s_max_per_angstrom must be the larger (s = 1/d: 20 Å is 0.05 Å⁻¹)"
            )


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """What a detector measures in a given beam; arrays are over the flattened detector.

    ``shape``: rows of all panels and columns. ``position_mm`` in the lab frame; ``s`` in Å⁻¹;
    ``gain``, photons per electron² at relative fluence 1; ``panel``, the panel's number, −1 if on
    none; ``s_step``, the largest |Δs| between neighbouring pixels of a panel, Å⁻¹; ``reasons``, why
    the pixel is not used (:class:`MaskReason`), 0 where it is.
    """

    shape: tuple[int, int]
    position_mm: Float64[np.ndarray, "P 3"]
    s: Float64[np.ndarray, "P 3"]
    solid_angle_sr: Float64[np.ndarray, "P"]
    polarisation: Float64[np.ndarray, "P"]
    gain: Float64[np.ndarray, "P"]
    panel: Int32[np.ndarray, "P"]
    s_step: float
    reasons: UInt8[np.ndarray, "P"]

    @property
    def mask(self) -> Bool[np.ndarray, "P"]:
        """True where the pixel is not used."""
        return self.reasons != 0

    @property
    def good(self) -> Int64[np.ndarray, "_"]:
        """Flat indices of the usable pixels, ascending."""
        return np.flatnonzero(self.reasons == 0)

    @property
    def s_max(self) -> float:
        """Largest |s| of a usable pixel, Å⁻¹."""
        return float(np.linalg.norm(self.s[self.good], axis=1).max())


def read_layout(detector: Detector) -> Layout:
    """Return the panels of a detector before binning; raises :class:`ConfigError`."""
    if detector.geometry_file:
        return read_geometry(detector.geometry_file, detector.distance_mm)
    panels = detector.panels
    if not panels:
        panels = (_flat(detector),) if detector.layout == "flat" else LAYOUTS[detector.layout]()
    bad = np.zeros(sum(len(panel) for panel in panels), bool)
    return Layout(panels=panels, distance_mm=detector.distance_mm, bad=bad)


def _flat(detector: Detector) -> Panel:
    pixel = detector.pixel_size_mm
    return Panel(
        name="flat",
        rows=detector.rows,
        columns=detector.columns,
        corner_mm=(-0.5 * detector.columns * pixel, -0.5 * detector.rows * pixel, 0.0),
        fs_mm=(pixel, 0.0, 0.0),
        ss_mm=(0.0, pixel, 0.0),
    )


def pixel_positions(detector: Detector) -> Float64[np.ndarray, "P 3"]:
    """Return pixel centres in the lab frame, after binning, mm."""
    layout = read_layout(detector).binned(detector.binning)
    position = layout.positions_mm()
    return layout.framed(position, _nowhere(position))


def _nowhere(position_mm: Float64[np.ndarray, "P 3"]) -> Float64[np.ndarray, "3"]:
    """Return where pixels of no panel are said to be: on the beam, as far as the others."""
    return np.array([0.0, 0.0, np.median(position_mm[:, 2])])


def scattering_vectors(
    position_mm: Float[np.ndarray, "P 3"], wavelength_angstrom: float
) -> Float[np.ndarray, "P 3"]:
    """Return s = (k̂_out − ẑ)/λ, Å⁻¹: on the Ewald sphere."""
    direction = position_mm / np.linalg.norm(position_mm, axis=1, keepdims=True)
    return (direction - np.array([0.0, 0.0, 1.0])) / wavelength_angstrom


def square_pixel_step(solid_angle_sr: Float[np.ndarray, "P"], wavelength_angstrom: float) -> float:
    """Return the largest |Δs| between neighbours, Å⁻¹, of square pixels: √ΔΩ/λ.

    For a detector whose pixels are known one by one, but not their order on panels.
    """
    return math.sqrt(float(solid_angle_sr.max())) / wavelength_angstrom


def polarisation_factor(
    position_mm: Float[np.ndarray, "P 3"], polarisation: str
) -> Float[np.ndarray, "P"]:
    """Return |ε̂ × k̂_out|²: 1 − (x/ρ)² for x, 1 − (y/ρ)² for y, (1 + cos²2θ)/2 for neither."""
    direction = position_mm / np.linalg.norm(position_mm, axis=1, keepdims=True)
    along_x, along_y = 1 - direction[:, 0] ** 2, 1 - direction[:, 1] ** 2
    if polarisation == "x":
        return along_x
    if polarisation == "y":
        return along_y
    return (along_x + along_y) / 2


def geometry(detector: Detector, beam: Beam) -> Geometry:
    """Return pixel positions, s-vectors, solid angles, polarisation, gain and mask.

    The gain is J₀·r_e²·ΔΩ·P (Thomson scattering; Als-Nielsen & McMorrow, eq. 1.11). Raises
    :class:`SamplingError` if no pixel is left.
    """
    read_out = read_layout(detector)
    layout = read_out.binned(detector.binning)
    position = layout.positions_mm()
    s = scattering_vectors(position, beam.wavelength_angstrom)
    solid_angle = layout.solid_angles(position)
    polarisation = polarisation_factor(position, beam.polarisation)
    per_steradian = beam.fluence_photons_per_um2 * CLASSICAL_ELECTRON_RADIUS_UM**2
    reasons = mask_reasons(detector, read_out, position, s)
    for notice in layout.notices:
        warnings.warn(notice, stacklevel=2)
    return Geometry(
        shape=layout.shape,
        position_mm=layout.framed(position, _nowhere(position)),
        s=layout.framed(s, 0.0),
        solid_angle_sr=layout.framed(solid_angle, 0.0),
        polarisation=layout.framed(polarisation, 1.0),
        gain=layout.framed(per_steradian * solid_angle * polarisation, 0.0),
        panel=layout.framed(layout.panel, -1),
        s_step=layout.largest_step(s),
        reasons=layout.framed(reasons, MaskReason.BAD_REGION),
    )


def mask_reasons(
    detector: Detector,
    layout: Layout,
    position_mm: Float64[np.ndarray, "P 3"],
    s: Float64[np.ndarray, "P 3"],
) -> UInt8[np.ndarray, "P"]:
    """Return why each pixel is not used, of :class:`MaskReason`, 0 where it is.

    ``layout`` as read out, before binning; ``position_mm`` and ``s`` (Å⁻¹) after it; panel after
    panel. Raises :class:`SamplingError` if no pixel is left.
    """
    radius = np.linalg.norm(s, axis=1)
    unused = {
        MaskReason.BEAMSTOP: np.hypot(position_mm[:, 0], position_mm[:, 1])
        < detector.beamstop_radius_mm,
        MaskReason.RANGE: (radius < detector.s_min_per_angstrom)
        | (radius > detector.s_max_per_angstrom),
        MaskReason.BAD_REGION: layout.bin_mask(layout.bad, detector.binning),
    }
    if detector.mask_file:
        masked = _read_mask(Path(detector.mask_file), layout.shape)
        unused[MaskReason.FILE] = layout.bin_mask(
            layout.unframed(masked.reshape(-1)), detector.binning
        )
    reasons = np.zeros(len(s), np.uint8)
    for reason, pixels in unused.items():
        reasons[pixels] |= np.uint8(reason)
    if reasons.all():
        raise SamplingError(
            f"no usable pixel is left: the detector sees s = {radius.min():.4g} … "
            f"{radius.max():.4g} Å⁻¹, kept are {detector.s_min_per_angstrom:.4g} … "
            f"{detector.s_max_per_angstrom:.4g} Å⁻¹ outside a beamstop of "
            f"{detector.beamstop_radius_mm:g} mm; widen the kept range or check the mask"
        )
    return reasons


def _read_mask(path: Path, shape: tuple[int, int]) -> Bool[np.ndarray, "rows columns"]:
    with reading(path, "mask", "expected a .npy array", ConfigError):
        mask = npy.load(path)
    if mask.shape != shape:
        raise ConfigError(
            f"the mask {path} has shape {mask.shape}, the detector {shape} before binning; "
            "they must agree (non-zero means not used)"
        )
    return np.asarray(mask != 0)
