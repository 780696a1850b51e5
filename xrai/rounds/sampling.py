"""How finely volumes are sampled: as the photons ask for, so that their look-up costs no poses.

A trilinear look-up is wrong by a share of the intensity that falls with the fourth power of the
sampling, as a variance. Where a pixel holds many photons that is more than their noise, and poses
follow the error. And where the radial mean has fringes, as that of a hollow particle, it looks like
a cube in a coarse grid, which is mistaken for the particle's own angles.
"""

import math

import numpy as np
import torch
from torch import Tensor

from xrai.poses.finder import PoseFinder
from xraisim.core.closed_form.look_up import look_up_variance
from xraisim.core.merge import intensity_grid
from xraisim.core.radial import mean_by_shell
from xraisim.core.types import Pixels, Volume

_CHOICES = (2.7, 3.2, 4.0, 5.0)  # voxels per 1/D
# Of the photons' variance. Errors of neighbouring pixels are alike, so that they weigh several
# times as much: measured, this much raises the squared error of poses by about a fifth.
_NEGLIGIBLE = 0.07
_ROUND = 0.03  # of the radial mean: its look-up may be wrong by less (median over pixels)
_BIN = 0.2  # of 1/D: bins of the radial mean, where pixels lie as closely
_SHELLS = 5  # fewer say nothing of a curvature
# Where little of the light is the particle's, poses suffer more (docs/measurements/sampling.md).
_BESIDE_BACKGROUND = 4.0
_MOST_VOXELS = 2**24  # a finer cube costs more memory and time than the poses are worth


def choose_oversampling(finder: PoseFinder, volume: Volume) -> float:
    """Return voxels per 1/D: the configured ones, or the fewest whose error is negligible.

    ``volume``: any of the particle, whose speckles say how fast the intensity varies. Of a cube
    that would be too large, the finest choice that is not.
    """
    wanted = finder.config.refine.oversampling
    if wanted is None:
        mean = _mean_pattern(finder)
        variances = look_up_variance(volume, finder.stream.diameter_angstrom, _CHOICES)
        most = _NEGLIGIBLE * _noise(finder.pixels, mean)
        fine = [o for o, v in zip(_CHOICES, variances, strict=True) if v <= most]
        wanted = max(min(fine, default=_CHOICES[-1]), for_fringes(finder, _CHOICES))
        fits = [o for o in _CHOICES if _voxels(finder, o) <= _MOST_VOXELS]
        wanted = finder.processes.agreed(min(wanted, max(fits, default=_CHOICES[0])))
    return max(wanted, _BESIDE_BACKGROUND) if finder.pixels.has_background else wanted


def for_fringes(finder: PoseFinder, choices: tuple[float, ...]) -> float:
    """Return the first of rising choices (voxels per 1/D) that holds the radial mean, or the last.

    The error of a look-up, h²/12 ∇²V̄ on average, from the mean of some patterns.
    """
    pixels = finder.pixels_within(finder.s_search)
    mean = _mean_pattern(finder)[: len(pixels)]
    curvature = _relative_curvature(pixels, mean, finder.stream.diameter_angstrom)
    enough = (12 * _ROUND / max(curvature, 1e-30)) ** -0.5
    finest = finder.processes.agreed(enough)
    return next((choice for choice in choices if choice >= finest), choices[-1])


def _mean_pattern(finder: PoseFinder) -> Tensor:
    """Return the mean of the patterns with photons in the first block that has any.

    Photons per pixel, float64 on the CPU.
    """
    size = len(finder.pixels)
    for _, photons in finder.stream.blocks(0, len(finder.stream)):
        lit = photons.lit(size)
        if len(lit):
            return photons.take(lit).dense(size).mean(0).double()
    return torch.zeros(size, dtype=torch.float64)


def _relative_curvature(pixels: Pixels, mean: Tensor, diameter_angstrom: float) -> float:
    """Return |∇²V̄|/V̄ in D² (median over pixels), V̄ the radial mean of the intensity."""
    signal = (mean - pixels.background.cpu()) / pixels.gain.cpu().double()
    radius = pixels.radius.cpu().double() * diameter_angstrom
    width, shell = _BIN, _shells(radius, _BIN)
    while not shell.bincount().all():
        width *= 1.25
        shell = _shells(radius, width)
    profile = mean_by_shell(shell, signal).numpy()
    if len(profile) < _SHELLS or profile.max() <= 0:
        return 0.0
    s = float(radius.min()) + np.arange(len(profile)) * width
    slope = np.gradient(profile, width)
    curvature = np.gradient(slope, width) + 2 * slope / np.maximum(s, width)
    level = np.maximum(profile, 1e-9 * profile.max())
    return float(np.median(np.abs(curvature / level)[shell.numpy()]))


def _shells(radius: Tensor, width: float) -> Tensor:
    """Return which shell, of that width and counted from the innermost, holds each radius."""
    shell = (radius / width).round().long()
    return shell - shell.min()


def _voxels(finder: PoseFinder, oversampling: float) -> int:
    return int(intensity_grid(finder.s_edge, finder.stream.diameter_angstrom, oversampling)[0] ** 3)


def _noise(pixels: Pixels, mean: Tensor) -> float:
    """Return the photons' variance over the squared signal, as pixels tell of poses.

    A pixel's information of a small turn grows with its |s|² and with its signal²/variance.
    """
    signal = (mean - pixels.background.cpu()).clamp_min(0)
    ratio = signal.square() / mean.clamp_min(1e-30)
    information = pixels.radius.cpu().square() * ratio
    total = float((information * ratio).sum())
    return float(information.sum()) / total if total > 0 else math.inf
