"""λ, the expected photons: what is drawn from, in plain numpy, and what it rests on.

    λ = gain · Σ weight · |F(scale · Rᵀ s)|² + strength · background + extra

summed over a shot's exposures (:class:`Shots`), with gain = J₀ · r_e² · ΔΩ · P(s).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Num

from xraisim.core import rotations
from xraisim.core.errors import SamplingError
from xraisim.instrument.detector import Geometry
from xraisim.photons.shots import Shots
from xraisim.scattering.intensity import IntensitySpline, look_up

_NO_ROTATION = 1e-4  # of a quaternion's squared length; volumes have voxels to spare
_SLACK = 1 + 1e-6  # on |s|, for float32 scales


class ExpectedPhotons:
    """Intensity volumes seen by the usable pixels of a detector, P′ of its P.

    ``usable`` int64 [P′]: their flat indices on the detector; ``s`` [P′, 3], Å⁻¹, and ``s_max``,
    the largest |s|; ``gain`` [P′]: photons per electron² at weight 1; ``background`` [P′]: mean
    photons of a shot whose background has strength 1; ``extra`` [P′]: those of every shot (hot
    pixels); ``volume_s_max`` [volumes], Å⁻¹.
    """

    def __init__(
        self,
        volumes: Sequence[IntensitySpline],
        geometry: Geometry,
        *,
        gain: Float[np.ndarray, "P"] | None = None,
        background: Float[np.ndarray, "P"] | float = 0.0,
        extra: Float[np.ndarray, "P"] | float = 0.0,
    ) -> None:
        """``gain`` (the geometry's by default), ``background`` and ``extra``: [P] or one number.

        Raises :class:`SamplingError` for intensities that are not finite, rates below 0, and a
        volume that does not reach the outermost pixel.
        """
        self.volumes, self.pixels = tuple(volumes), len(geometry.mask)
        self.usable, self.s_max = geometry.good, geometry.s_max
        self.s = geometry.s[self.usable]
        gain = geometry.gain if gain is None else gain
        self.gain, self.background, self.extra = (
            np.broadcast_to(values, self.pixels)[self.usable]
            for values in (gain, background, extra)
        )
        self.volume_s_max = np.array([volume.s_max for volume in self.volumes])
        self._check()

    def of(self, shots: Shots) -> Float64[np.ndarray, "n P"]:
        """Return λ of every shot and detector pixel, zero where masked."""
        out = np.zeros((len(shots), self.pixels))
        out[:, self.usable] = shots.strength[:, None] * self.background + self.extra
        R = rotations.to_matrix(torch.from_numpy(shots.orientation.astype(np.float64))).numpy()
        for e, shot in enumerate(np.repeat(np.arange(len(shots)), np.diff(shots.offsets))):
            s = shots.scale[e] * (self.s @ R[e])  # row vectors: s @ R is Rᵀ s
            squared = look_up(self.volumes[shots.model[e]], s)
            out[shot, self.usable] += shots.weight[e] * self.gain * squared
        return out

    def _check(self) -> None:
        for number, volume in enumerate(self.volumes):
            extremes = volume.coefficients.min(initial=0), volume.coefficients.max(initial=0)
            if not np.isfinite(extremes).all():
                raise SamplingError(f"the intensity of model {number} is not finite everywhere")
            if self.s_max > volume.s_max * _SLACK:
                raise _too_small(self.s_max, volume.s_max)
        for name in ("gain", "extra", "background"):
            values = getattr(self, name)
            wrong = ~(np.isfinite(values) & (values >= 0))
            if wrong.any():
                raise SamplingError(
                    f"{name} is {values[wrong][0]} in {wrong.sum()} usable pixels; expected 0 or "
                    "more"
                )


def check_exposures(
    shots: Shots, s_max: float, volume_s_max: Float64[np.ndarray, "volumes"]
) -> None:
    """Raise :class:`SamplingError` for exposures that cannot be looked up.

    ``s_max``: of the usable pixels, ``volume_s_max``: of each volume, Å⁻¹.
    """
    known = (shots.model >= 0) & (shots.model < len(volume_s_max))
    _require(known, shots.model, "model", f"0 … {len(volume_s_max) - 1}")
    length = np.square(shots.orientation.astype(np.float64)).sum(1)
    _require(np.abs(length - 1) < _NO_ROTATION, shots.orientation, "orientation", "length 1")
    for name in ("weight", "scale"):
        values = getattr(shots, name)
        _require(np.isfinite(values) & (values >= 0), values, name, "0 or more")
    outside = s_max * shots.scale > volume_s_max[shots.model] * _SLACK
    if outside.any():
        e = int(np.argmax(outside))
        raise _too_small(float(s_max * shots.scale[e]), float(volume_s_max[shots.model[e]]))


def _too_small(s_max: float, volume_s_max: float) -> SamplingError:
    return SamplingError(
        f"pixels reach s = {s_max:.5g} Å⁻¹, the intensity volume was made to {volume_s_max:.5g} "
        "Å⁻¹; make it for the largest s of the detector and the photon energies"
    )


def _require(
    fine: Bool[np.ndarray, "m"], values: Num[np.ndarray, "m *rest"], name: str, expected: str
) -> None:
    if not fine.all():
        e = int(np.argmin(fine))
        raise SamplingError(f"exposure {e} has the {name} {values[e]}; expected {expected}")
