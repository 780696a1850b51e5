"""Goodness of fit of single patterns, in standard deviations and without a free parameter.

Counts k ~ Poisson(λ), λ = φ·w + b, have the log-likelihood Σ k log λ (up to terms that do not
depend on k) with mean Σ λ log λ. The fluence is fitted to the same counts, which takes out of its
variance Σ λ log²λ the part along the fluence's score: (Σ w log λ)² / Σ (w²/λ). By how many standard
deviations the found value falls short of the mean is the *misfit*: about N(0, 1) for a hit at the
right pose, far above for junk, for several particles in one shot, or for a wrong pose. Without
background it is the multinomial likelihood's.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.entries import device_blocks, upload_entries
from xraisim.core.kernels import misfit as kernels
from xraisim.core.likelihood import measurement, profiled_loglik, volume_and_pose
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
    parts, device = [], volume.values.device
    for rows in device_blocks(len(photons), len(pixels), device):
        entries = upload_entries(photons, rows, len(pixels), device)
        matrix = rotations.to_matrix(poses[rows])
        cut = slice_volume_reference(volume.values, matrix, pixels.s, volume.spacing)
        w = cut * pixels.gain + _TINY
        exposure, at = w.sum(1, keepdim=True).double(), w[entries.row, entries.pixel].double()
        _, fluence = profiled_loglik(entries, exposure, at[:, None], pixels.background)
        rate = fluence.to(w) * w + pixels.background + _TINY
        log, part = rate.log(), w / rate
        along, information = (w * log).sum(1).double(), (w * part).sum(1).double()
        k, lit = entries.count, rate[entries.row, entries.pixel].double()
        score = entries.totals(k * at / lit) - exposure[:, 0]
        variance = (rate * log.square()).sum(1).double() - along.square() / information
        short = (rate * log).sum(1).double() - entries.totals(k * lit.log())
        short += score * along / information
        found = short / variance.clamp_min(1e-12).sqrt() * (fluence[:, 0] > 0)
        parts.append((found, fluence[:, 0]))
    found, fluence = (torch.cat(column) for column in zip(*parts, strict=True))
    return found, fluence
