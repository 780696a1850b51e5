"""The electronics: photons → ADU with noise and common mode → photons, as an experiment has them.

A frame is offset + adu_per_photon · photons + common mode (one value per panel and shot) + read-out
noise (one per pixel and shot), both Gaussian. Conversion takes the common mode away and counts
⌊x + 1 − threshold⌋ photons, x the signal in photons: noise then makes false photons at the rate
Q(threshold · adu_per_photon / noise_adu) per dark pixel, Q the Gaussian tail. Charge that spreads
to neighbouring pixels is left out.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float, Float32
from scipy.special import ndtri

from xraisim.core.errors import ConfigError
from xraisim.core.random import uniforms
from xraisim.core.settings import NotNegative, Range, Settings
from xraisim.core.types import Photons
from xraisim.instrument.detector import Geometry

_BLOCK_VALUES = 2**20  # pixel values of the dense frames held at a time


@dataclass(frozen=True, kw_only=True)
class Readout(Settings, table="readout"):
    """An integrating detector's electronics, in ADU; ``adu_per_photon`` 0 counts photons exactly.

    ``noise_adu`` and ``common_mode_adu`` are rms. ``threshold_photons`` from 0 to 1: the signal
    from which a photon counts. Pipelines for AGIPD use 0.6 (Dragonfly's ``hitstoemc``) to 0.8
    (``round(x − 0.3)``). Raises :class:`ConfigError`.
    """

    adu_per_photon: NotNegative = 0.0
    noise_adu: NotNegative = 0.0
    common_mode_adu: NotNegative = 0.0
    offset_adu: Annotated[float, Range()] = 0.0
    threshold_photons: Annotated[float, Range(above=0, most=1)] = 0.7

    def check(self) -> None:
        """Refuse noise without a unit."""
        if self.adu_per_photon == 0 and (self.noise_adu > 0 or self.common_mode_adu > 0):
            raise ConfigError(
                "readout has noise but adu_per_photon is 0, which counts photons exactly; give "
                "adu_per_photon, such as 30"
            )


def saturate(photons: Photons, limit: int) -> Photons:
    """Return the block with no pixel above ``limit`` photons; 0 is no limit.

    Entries of one pixel must be neighbours in their row, as the draw leaves them; they become one.
    """
    if limit == 0 or not len(photons.pixel):
        return photons
    whole = photons.summed()
    clipped = np.minimum(whole.count, limit).astype(photons.count.dtype)
    return dataclasses.replace(whole, count=clipped)


def read_out(
    photons: Photons, geometry: Geometry, readout: Readout, seed: int, first: int
) -> Float32[np.ndarray, "n P"]:
    """Return the frames of a block in ADU, masked pixels included.

    ``first`` is the number of the block's first pattern: noise depends on (seed, pattern) alone.
    """
    indices = np.arange(first, first + len(photons))
    frames = photons.dense(len(geometry.reasons)).numpy()
    frames *= readout.adu_per_photon
    frames += readout.offset_adu
    if readout.noise_adu > 0:
        noise = ndtri(uniforms(seed, "read-out noise", indices, frames.shape[1]))
        frames += (readout.noise_adu * noise).astype(np.float32)
    if readout.common_mode_adu > 0:
        panels = int(geometry.panel.max()) + 1
        common = ndtri(uniforms(seed, "common mode", indices, panels)).astype(np.float32)
        frames += (readout.common_mode_adu * common)[:, geometry.panel]
    return frames


def count_photons(
    frames: Float[np.ndarray, "n P"], geometry: Geometry, readout: Readout
) -> Photons:
    """Return the photons counted in ``frames`` (ADU) at the usable pixels.

    ``readout.adu_per_photon`` must be positive.
    """
    signal = frames - np.float32(readout.offset_adu)
    if readout.common_mode_adu > 0:
        _subtract_common_mode(signal, geometry, readout.adu_per_photon)
    lit = signal >= readout.threshold_photons * readout.adu_per_photon
    lit &= ~geometry.mask
    row, pixel = np.nonzero(lit)
    value = signal[row, pixel] / readout.adu_per_photon
    count = np.floor(value + (1 - readout.threshold_photons))
    return Photons(
        offsets=np.searchsorted(row, np.arange(len(frames) + 1)),
        pixel=pixel.astype(np.int32),
        count=np.maximum(count, 1).astype(np.int32),
    )


def counted(
    photons: Photons, geometry: Geometry, readout: Readout, seed: int, first: int
) -> Photons:
    """Return what is counted of a block after read-out and conversion, in bounded memory."""
    if readout.adu_per_photon == 0 or not len(photons):
        return photons
    step = max(1, _BLOCK_VALUES // len(geometry.reasons))
    parts = []
    for start in range(0, len(photons), step):
        part = photons.take(np.arange(start, min(start + step, len(photons))))
        frames = read_out(part, geometry, readout, seed, first + start)
        parts.append(count_photons(frames, geometry, readout))
    lengths = np.concatenate([[0], *(np.diff(part.offsets) for part in parts)])
    return Photons(
        offsets=np.cumsum(lengths),
        pixel=np.concatenate([part.pixel for part in parts]),
        count=np.concatenate([part.count for part in parts]),
    )


def _subtract_common_mode(
    signal: Float[np.ndarray, "n P"], geometry: Geometry, adu_per_photon: float
) -> None:
    """Take each panel's dark level off, in place: right while most of its pixels are dark.

    The level is the mean of the usable pixels within half a photon of their (lower) median; the
    median alone would rise with the number of lit pixels.
    """
    usable = ~geometry.mask
    for panel in range(int(geometry.panel.max()) + 1):
        pixels = np.flatnonzero((geometry.panel == panel) & usable)
        values = signal[:, pixels]
        if not values.shape[1]:
            continue
        half = (values.shape[1] - 1) // 2
        middle = np.partition(values, half, axis=1)[:, half, None]
        dark = np.abs(values - middle) < 0.5 * adu_per_photon
        signal[:, pixels] -= np.mean(values, axis=1, where=dark, keepdims=True)
