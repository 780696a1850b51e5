"""Goodness of fit of single patterns, in standard deviations and without a free parameter.

Counts k ~ Poisson(λ), λ = φ·w + b, have the log-likelihood Σ k log λ (up to terms that do not
depend on k) with mean Σ λ log λ. The fluence is fitted to the same counts, which takes out of its
variance Σ λ log²λ the part along the fluence's score: (Σ w log λ)² / Σ (w²/λ). By how many standard
deviations the found value falls short of the mean is the *misfit*: about N(0, 1) for a hit at the
right pose, far above for junk, for several particles in one shot, or for a wrong pose. Without
background it is the multinomial likelihood's.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.kernels import misfit as kernels
from xraisim.core.likelihood import blocks, measurement, profiled_loglik, volume_and_pose
from xraisim.core.sampling import check_inside, slice_volume_reference
from xraisim.core.types import Photons, Pixels, Volume

_TINY = 1e-12


def misfit(
    volume: Volume, pixels: Pixels, photons: Photons, poses: Float[Tensor, "n 4"]
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Return the misfit and the profiled relative fluence of each pattern at its pose, float64.

    The misfit of a pattern without photons is 0.
    """
    check_inside(pixels.s, volume.grid, volume.spacing)
    if volume.values.device.type != "cpu":
        return misfit_reference(volume, pixels, photons, poses)
    found, fluence = kernels.misfit(
        *volume_and_pose(volume, poses), *measurement(volume, pixels, photons)
    )
    return torch.from_numpy(found), torch.from_numpy(fluence)


def misfit_reference(
    volume: Volume, pixels: Pixels, photons: Photons, poses: Float[Tensor, "n 4"]
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Plain torch form of :func:`misfit`, for any device."""
    parts = []
    for start, stop in blocks(len(photons), len(pixels)):
        k = photons.take(np.arange(start, stop)).dense(len(pixels)).to(volume.values.device)
        matrix = rotations.to_matrix(poses[start:stop])
        cut = slice_volume_reference(volume.values, matrix, pixels.s, volume.spacing)
        w, b = (cut * pixels.gain).double() + _TINY, pixels.background.double()
        _, fluence = profiled_loglik(k.double(), w, b)
        rate = fluence[:, None] * w + b + _TINY
        log = rate.log()
        along, information = (w * log).sum(1), (w.square() / rate).sum(1)
        score = ((k - rate) * w / rate).sum(1)
        variance = (rate * log.square()).sum(1) - along.square() / information
        short = ((rate - k) * log).sum(1) + score * along / information
        parts.append((short / variance.clamp_min(1e-12).sqrt() * (fluence > 0), fluence))
    found, fluence = (torch.cat(column) for column in zip(*parts, strict=True))
    return found, fluence
