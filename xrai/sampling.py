"""How finely volumes are sampled: as the photons ask for, so that their look-up costs no poses.

A trilinear look-up is wrong by a share of the intensity that falls with the fourth power of the
sampling. Where a pixel holds many photons it is wrong by more than their noise, and poses follow
the error.
"""

import math

from xrai.decoder.look_up import look_up_variance
from xrai.march import March
from xraisim.core.merge import intensity_grid
from xraisim.core.types import Volume

COARSEST = 2.7  # voxels per 1/D
_CHOICES = (COARSEST, 3.2, 4.0, 5.0)
# Of the photons' variance. Errors of neighbouring pixels are alike, so that they weigh several
# times as much: measured, this much raises the squared error of poses by about a fifth.
_NEGLIGIBLE = 0.07
# Where little of the light is the particle's, poses suffer more (docs/xrai.md, Sampling).
_BESIDE_BACKGROUND = 4.0
_MOST_VOXELS = 2**24  # a finer cube costs more memory and time than the poses are worth


def choose_oversampling(march: March, volume: Volume) -> float:
    """Return voxels per 1/D: the configured ones, or the fewest whose error is negligible.

    ``volume``: any of the particle, whose speckles say how fast the intensity varies. Of a cube
    that would be too large, the finest choice that is not.
    """
    wanted = march.config.refine.oversampling
    if wanted is None:
        variances = look_up_variance(volume, march.stream.diameter_angstrom, _CHOICES)
        noise = _noise(march)
        fine = [o for o, v in zip(_CHOICES, variances, strict=True) if v <= _NEGLIGIBLE * noise]
        fits = [o for o in _CHOICES if _voxels(march, o) <= _MOST_VOXELS]
        wanted = min(min(fine, default=_CHOICES[-1]), max(fits, default=COARSEST))
        wanted = march.processes.agreed(wanted)
    return max(wanted, _BESIDE_BACKGROUND) if march.pixels.has_background else wanted


def _voxels(march: March, oversampling: float) -> int:
    return int(intensity_grid(march.s_edge, march.stream.diameter_angstrom, oversampling)[0] ** 3)


def _noise(march: March) -> float:
    """Return the photons' variance over the squared signal, as pixels tell of poses.

    A pixel's information of a small turn grows with its |s|² and with its signal²/variance.
    """
    pixels = march.pixels
    _, photons = next(march.stream.blocks(0, march.config.block))
    mean = photons.dense(len(pixels)).to(march.device).mean(0).double()
    signal = (mean - pixels.background).clamp_min(0)
    ratio = signal.square() / mean.clamp_min(1e-30)
    information = pixels.radius.square() * ratio
    total = float((information * ratio).sum())
    return float(information.sum()) / total if total > 0 else math.inf
