"""The flat detector: where its pixels are, what scattering vector each sees, which are usable."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xraisim.beam import Beam
from xraisim.core.errors import ConfigError, SamplingError
from xraisim.core.units import CLASSICAL_ELECTRON_RADIUS_UM


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A flat detector centred on the beam and perpendicular to it.

    Columns run along x and rows along y; pixel (row, column) has the flat index
    ``row * columns + column``. Pixels inside the circular beamstop, outside
    ``s_min … s_max`` (Å⁻¹) or non-zero in the mask file (``.npy``, rows × columns) are not used.
    """

    rows: int = 128
    columns: int = 128
    pixel_size_mm: float = 100.0 / 128
    distance_mm: float = 200.0
    beamstop_radius_mm: float = 0.0
    s_min_per_angstrom: float = 0.0
    s_max_per_angstrom: float = math.inf
    mask_file: str = ""

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "pixel_size_mm", "distance_mm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"detector.{name} is {value}; it must be a positive number")
        for name in ("beamstop_radius_mm", "s_min_per_angstrom"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(
                    f"detector.{name} is {getattr(self, name)}; it must be zero or positive"
                )
        if not self.s_max_per_angstrom > self.s_min_per_angstrom:
            raise ConfigError(
                f"detector keeps s from {self.s_min_per_angstrom} to {self.s_max_per_angstrom} Å⁻¹;"
                " s_max_per_angstrom must be the larger (s = 1/d: 20 Å is 0.05 Å⁻¹)"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """What a detector measures in a given beam; arrays are over the flattened detector, float64.

    ``position_mm`` [P, 3] in the lab frame; ``s`` [P, 3] in Å⁻¹; ``solid_angle_sr`` [P];
    ``polarisation`` [P], dimensionless; ``gain`` [P], photons per electron² at relative fluence 1;
    ``mask`` [P] bool, True where the pixel is not used.
    """

    shape: tuple[int, int]
    position_mm: np.ndarray
    s: np.ndarray
    solid_angle_sr: np.ndarray
    polarisation: np.ndarray
    gain: np.ndarray
    mask: np.ndarray

    @property
    def good(self) -> np.ndarray:
        """Flat indices of the usable pixels, ascending."""
        return np.flatnonzero(~self.mask)

    @property
    def s_max(self) -> float:
        """Largest |s| of a usable pixel, Å⁻¹."""
        return float(np.linalg.norm(self.s[~self.mask], axis=1).max())


def pixel_positions(detector: Detector) -> np.ndarray:
    """Return pixel centres in the lab frame, float64 [rows·columns, 3], mm."""
    y = (np.arange(detector.rows) - (detector.rows - 1) / 2) * detector.pixel_size_mm
    x = (np.arange(detector.columns) - (detector.columns - 1) / 2) * detector.pixel_size_mm
    yy, xx = np.meshgrid(y, x, indexing="ij")
    return np.stack([xx, yy, np.full_like(xx, detector.distance_mm)], axis=-1).reshape(-1, 3)


def scattering_vectors(position_mm: np.ndarray, wavelength_angstrom: float) -> np.ndarray:
    """Return s = (k̂_out − ẑ)/λ, Å⁻¹, for positions [P, 3]: on the Ewald sphere."""
    direction = position_mm / np.linalg.norm(position_mm, axis=1, keepdims=True)
    return (direction - np.array([0.0, 0.0, 1.0])) / wavelength_angstrom


def solid_angles(position_mm: np.ndarray, pixel_size_mm: float) -> np.ndarray:
    """Return p²·d/ρ³ in sr: the solid angle of a small flat pixel facing along the beam."""
    rho = np.linalg.norm(position_mm, axis=1)
    return pixel_size_mm**2 * position_mm[:, 2] / rho**3


def polarisation_factor(position_mm: np.ndarray, polarisation: str) -> np.ndarray:
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
    position = pixel_positions(detector)
    s = scattering_vectors(position, beam.wavelength_angstrom)
    solid_angle = solid_angles(position, detector.pixel_size_mm)
    polarisation = polarisation_factor(position, beam.polarisation)
    per_steradian = beam.fluence_photons_per_um2 * CLASSICAL_ELECTRON_RADIUS_UM**2
    mask = _mask(detector, position, np.linalg.norm(s, axis=1))
    return Geometry(
        shape=detector.shape,
        position_mm=position,
        s=s,
        solid_angle_sr=solid_angle,
        polarisation=polarisation,
        gain=per_steradian * solid_angle * polarisation,
        mask=mask,
    )


def _mask(detector: Detector, position: np.ndarray, radius: np.ndarray) -> np.ndarray:
    mask = np.hypot(position[:, 0], position[:, 1]) < detector.beamstop_radius_mm
    mask |= (radius < detector.s_min_per_angstrom) | (radius > detector.s_max_per_angstrom)
    if detector.mask_file:
        mask |= _read_mask(detector).reshape(-1)
    if mask.all():
        raise SamplingError(
            f"no usable pixel is left: the detector sees s = {radius.min():.4g} … "
            f"{radius.max():.4g} Å⁻¹, kept are {detector.s_min_per_angstrom:.4g} … "
            f"{detector.s_max_per_angstrom:.4g} Å⁻¹ outside a beamstop of "
            f"{detector.beamstop_radius_mm:g} mm; widen the kept range or check the mask"
        )
    return mask


def _read_mask(detector: Detector) -> np.ndarray:
    path = Path(detector.mask_file)
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"cannot read the mask {path}: {error}; expected a .npy array") from error
    if mask.shape != detector.shape:
        raise ConfigError(
            f"the mask {path} has shape {mask.shape}, the detector {detector.shape}; "
            "they must agree (non-zero means not used)"
        )
    return np.asarray(mask != 0)
