"""Expected photons and their Poisson draw: λ = φ·gain·|F(Rᵀ s)|² + b.

Pattern i depends on (seed, i) alone: its orientation, fluence and photons are counter-based random
numbers, so the number of threads, the batch size and the order of the batches do not matter.
"""

from dataclasses import dataclass

import numpy as np
import torch

from xraisim.beam import FluenceSpread
from xraisim.core import rotations, so3
from xraisim.core.errors import SamplingError
from xraisim.core.random import stream_key, uniforms
from xraisim.core.types import Photons
from xraisim.detector import Geometry
from xraisim.intensity import IntensitySpline
from xraisim.photon_kernels import draw_patterns, pack_rows
from xraisim.spline_kernels import block_ceilings


@dataclass(frozen=True, kw_only=True)
class Draw:
    """A block of simulated patterns and the truth behind them.

    ``photons`` with flat detector indices, ascending in each row; ``orientations`` float32 [n, 4],
    quaternions; ``fluence`` float32 [n], relative.
    """

    photons: Photons
    orientations: np.ndarray
    fluence: np.ndarray


def draw_orientations(seed: int, indices: np.ndarray) -> np.ndarray:
    """Return the uniform random orientations of patterns ``indices``, float32 [n, 4]."""
    u = torch.from_numpy(uniforms(seed, "orientation", indices, 3))
    return so3.haar_from_uniforms(u).float().numpy()


def look_up(volume: IntensitySpline, s: np.ndarray) -> np.ndarray:
    """Return |F(s)|² in electrons² at ``s`` [P, 3] (Å⁻¹), float64: the kernel's plain form."""
    position = s / volume.spacing + volume.grid // 2
    middle = np.floor(position + 0.5).astype(int)
    t = position - middle
    weight = np.stack([0.5 * (0.5 - t) ** 2, 0.75 - t**2, 0.5 * (0.5 + t) ** 2], axis=-1)
    total = np.zeros(len(s))
    for step in np.ndindex(3, 3, 3):
        x, y, z = (middle + np.array(step) - 1).T
        product = weight[:, 0, step[0]] * weight[:, 1, step[1]] * weight[:, 2, step[2]]
        total += product * volume.coefficients[x, y, z]
    return np.maximum(total, 0.0)


def expected_photons(
    volume: IntensitySpline,
    geometry: Geometry,
    orientation: np.ndarray,
    fluence: float,
    background: float,
) -> np.ndarray:
    """Return λ of every detector pixel, float64 [P]: plain numpy, zero where masked.

    ``orientation`` is a quaternion [4], ``background`` photons per pixel.
    """
    rotation = rotations.to_matrix(torch.from_numpy(np.asarray(orientation, np.float64))).numpy()
    good = geometry.good
    out = np.zeros(len(geometry.s))
    value = look_up(volume, geometry.s[good] @ rotation)  # row vectors: s @ R is Rᵀ s
    out[good] = fluence * geometry.gain[good] * value + background
    return out


class PhotonSource:
    """Draws patterns of one particle on one detector.

    Raises :class:`SamplingError` if a usable pixel lies outside the volume.
    """

    def __init__(
        self,
        volume: IntensitySpline,
        geometry: Geometry,
        fluence: FluenceSpread,
        background: float,
        seed: int,
    ) -> None:
        """``background`` is in photons per pixel."""
        if geometry.s_max > volume.s_max:
            raise SamplingError(
                f"pixels reach s = {geometry.s_max:.5g} Å⁻¹, the intensity volume was made to "
                f"{volume.s_max:.5g} Å⁻¹; make it for the detector's largest s"
            )
        self._volume, self._fluence, self._seed = volume, fluence, seed
        self._key = stream_key(seed, "photons")
        good = geometry.good
        self._flat = good.astype(np.int32)
        self._s = np.ascontiguousarray(geometry.s[good].T, np.float32)
        self._gain = geometry.gain[good].astype(np.float32)
        self._background = np.full(len(good), background, np.float32)
        self._ceiling = block_ceilings(volume.coefficients)
        self._capacity = 1024

    def draw(self, first: int, patterns: int) -> Draw:
        """Return patterns ``first … first + patterns − 1``."""
        indices = np.arange(first, first + patterns)
        orientations = draw_orientations(self._seed, indices)
        fluence = self._fluence.draw(self._seed, indices)
        rotation = rotations.to_matrix(torch.from_numpy(orientations)).numpy()
        photons = self._draw_photons(first, rotation.reshape(-1, 9), fluence)
        return Draw(photons=photons, orientations=orientations, fluence=fluence)

    def _draw_photons(self, first: int, rotation: np.ndarray, fluence: np.ndarray) -> Photons:
        patterns = len(rotation)
        length = np.empty(patterns, np.int64)
        while True:
            pixel = np.empty((patterns, self._capacity), np.int32)
            count = np.empty((patterns, self._capacity), np.int32)
            draw_patterns(
                self._volume.coefficients.reshape(-1),
                self._volume.grid,
                self._ceiling.reshape(-1),
                len(self._ceiling),
                rotation,
                np.float32(1 / self._volume.spacing),
                fluence,
                self._s,
                self._gain,
                self._background,
                self._flat,
                first,
                *self._key,
                pixel,
                count,
                length,
            )
            longest = int(length.max(initial=0))
            if longest <= self._capacity:
                break
            self._capacity = int(1.2 * longest)
        offsets = np.concatenate([[0], np.cumsum(length)])
        packed = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int32)
        pack_rows(pixel, count, offsets, *packed)
        return Photons(offsets=offsets, pixel=packed[0], count=packed[1])
