"""Photons that do not come from the particle: their mean on each pixel, and their strength."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float64

from xraisim.core import npy
from xraisim.core.errors import ConfigError, reading
from xraisim.core.settings import NotNegative, OneOf, Positive, Settings
from xraisim.instrument.beam import FluenceSpread
from xraisim.instrument.detector import Geometry

KINDS = ("flat", "exponential", "profile", "image")


@dataclass(frozen=True, kw_only=True)
class Background(Settings, table="background"):
    """The mean background in photons per pixel and shot; by default none.

    ``kind``: ``"flat"``, ``photons_per_pixel`` everywhere; ``"exponential"``,
    photons_per_pixel · exp(−|s|/``decay_per_angstrom``); ``"profile"``, a text ``file`` of two
    columns, |s| in Å⁻¹, ascending, and photons per pixel, linear in between; ``"image"``, a
    ``.npy`` ``file`` of photons per pixel, rows × columns. ``strength``: how all of it varies from
    shot to shot; it is truth. ``told``: whether the pattern file states the mean, which is all that
    a reconstructor is told; else it states none.
    Raises :class:`ConfigError` for values that no background can have.
    """

    kind: Annotated[str, OneOf(*KINDS)] = "flat"
    photons_per_pixel: NotNegative = 0.0
    decay_per_angstrom: Positive = 0.02
    file: str = ""
    strength: FluenceSpread = field(default_factory=lambda: FluenceSpread(distribution="constant"))
    told: bool = True

    def check(self) -> None:
        """Refuse a file that is not asked for, and photons beside those of one."""
        if bool(self.file) != self.from_file:
            raise ConfigError(
                f"background.kind is {self.kind!r} and background.file is {self.file!r}; the kinds "
                "profile and image need a file, the others have none"
            )
        if self.from_file and self.photons_per_pixel:
            raise ConfigError(
                f"background.photons_per_pixel is {self.photons_per_pixel}, but the photons of a "
                f"background of kind {self.kind!r} are in its file; leave it out"
            )

    @property
    def from_file(self) -> bool:
        """Whether the photons are in a file."""
        return self.kind in ("profile", "image")


def mean_photons(background: Background, geometry: Geometry) -> Float64[np.ndarray, "P"]:
    """Return the mean background photons of every detector pixel; 0 where masked.

    Raises :class:`ConfigError` for a file that cannot be read or does not fit the detector.
    """
    mean = _photons(background, geometry)
    mean[geometry.mask] = 0
    if not (np.isfinite(mean) & (mean >= 0)).all():
        raise ConfigError(
            f"{background.file}: the background has negative or non-finite values in usable "
            "pixels; expected photons per pixel, zero or positive"
        )
    return mean


def _photons(background: Background, geometry: Geometry) -> Float64[np.ndarray, "P"]:
    radius = np.linalg.norm(geometry.s, axis=1)
    if background.kind == "flat":
        return np.full(len(radius), background.photons_per_pixel)
    if background.kind == "exponential":
        return background.photons_per_pixel * np.exp(-radius / background.decay_per_angstrom)
    path = Path(background.file)
    with reading(path, "background", "see [background] file", ConfigError):
        if background.kind == "profile":
            return _interpolate(np.loadtxt(path, ndmin=2), radius, geometry.mask)
        return _flatten(npy.load(path), geometry.shape)


def _interpolate(
    table: Float64[np.ndarray, "_ _"], radius: Float64[np.ndarray, "P"], mask: Bool[np.ndarray, "P"]
) -> Float64[np.ndarray, "P"]:
    if table.shape[1] != 2 or len(table) < 2 or not (np.diff(table[:, 0]) > 0).all():
        raise ValueError(
            f"found an array of shape {table.shape}; expected two columns, |s| in Å⁻¹, ascending, "
            "and photons per pixel"
        )
    s, photons = table.T
    used = radius[~mask]
    if used.min() < s[0] or used.max() > s[-1]:
        raise ValueError(
            f"the profile covers |s| from {s[0]:.4g} to {s[-1]:.4g} Å⁻¹, the usable pixels "
            f"{used.min():.4g} to {used.max():.4g} Å⁻¹; extend it or narrow the kept range"
        )
    return np.interp(radius, s, photons)


def _flatten(image: np.ndarray, shape: tuple[int, int]) -> Float64[np.ndarray, "P"]:
    if image.shape != shape:
        raise ValueError(f"the image has shape {image.shape}, the detector {shape}; must agree")
    return image.astype(np.float64).reshape(-1)
