"""What the photon loops rely on: rates that are numbers, and exposures that lie in their volume."""

from collections.abc import Sequence

import numpy as np

from xraisim.core.errors import SamplingError
from xraisim.photons.shots import Shots
from xraisim.scattering.intensity import IntensitySpline

_NO_ROTATION = 1e-4  # of a quaternion's squared length; volumes have voxels to spare


def check_rates(volumes: Sequence[IntensitySpline], **rates: np.ndarray) -> None:
    """Raise :class:`SamplingError` for intensities that are not finite, or rates below 0."""
    for number, volume in enumerate(volumes):
        extremes = volume.coefficients.min(initial=0), volume.coefficients.max(initial=0)
        if not np.isfinite(extremes).all():
            raise SamplingError(f"the intensity of model {number} is not finite everywhere")
    for name, values in rates.items():
        wrong = ~(np.isfinite(values) & (values >= 0))
        if wrong.any():
            raise SamplingError(
                f"{name} is {values[wrong][0]} in {wrong.sum()} usable pixels; expected 0 or more"
            )


def check_exposures(shots: Shots, s_max: float, volume_s_max: np.ndarray) -> None:
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
    outside = s_max * shots.scale > volume_s_max[shots.model] * (1 + 1e-6)
    if outside.any():
        e = int(np.argmax(outside))
        raise SamplingError(
            f"pixels reach s = {s_max * shots.scale[e]:.5g} Å⁻¹, the intensity volume "
            f"was made to {volume_s_max[shots.model[e]]:.5g} Å⁻¹; make it for the largest s"
        )


def _require(fine: np.ndarray, values: np.ndarray, name: str, expected: str) -> None:
    if not fine.all():
        e = int(np.argmin(fine))
        raise SamplingError(f"exposure {e} has the {name} {values[e]}; expected {expected}")
