"""What a foreign file says of its experiment, and whether any experiment has it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64

from xraisim.core.errors import FormatError
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Geometry
from xraisim.instrument.ranges import QUANTITIES, require


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a pattern file says beside its photons.

    ``background`` is photons per pixel; the diameter is None where nobody knows it.
    """

    detector: Geometry
    beam: Beam
    background: Float[np.ndarray, "P"]
    particle_diameter_angstrom: float | None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a file says of its experiment; ``None`` where it says nothing.

    ``pixels``: per pattern. ``shape``: rows and columns, ``panels`` below one another in it.
    ``centre``: row and column of the beam, in pixels. ``pixel_height_mm``, where it is not the
    width. ``position_mm``, or at least ``direction``, unit vectors to the pixels.
    ``distance_pixels``: the distance in pixel sizes. ``mask``: True where unused. ``experiment``:
    all of it. ``units``: the unit in which the file has a number, by the name here, where it is not
    ours.
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
    position_mm: Float64[np.ndarray, "P 3"] | None = None
    direction: Float64[np.ndarray, "P 3"] | None = None
    solid_angle_sr: Float64[np.ndarray, "P"] | None = None
    polarisation_factor: Float64[np.ndarray, "P"] | None = None
    mask: Bool[np.ndarray, "P"] | None = None
    background: Float64[np.ndarray, "P"] | None = None
    experiment: Experiment | None = None
    units: dict[str, str] = field(default_factory=dict)


def plausible(known: Known, name: str, setting: str) -> Any:
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


def pixel_pitch_mm(detector: Geometry) -> float:
    """Return the pixel size that the solid angles p²·z/ρ³ of pixels facing the beam stand for."""
    position = detector.position_mm
    area = detector.solid_angle_sr * np.linalg.norm(position, axis=1) ** 3 / position[:, 2]
    return float(np.sqrt(np.median(area[area > 0])))  # 0 where no panel is
