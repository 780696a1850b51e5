"""Goodness of fit of single patterns, in standard deviations and without a free parameter.

For counts k ~ Poisson(λ), λ = φ·w + b, the squared deviation (k − λ)² has mean λ and variance
λ + 2λ². Weighted by 1/(1 + 2λ), which leaves neither bright nor dark pixels to rule the sum,

    T = Σ [(k − λ)² − λ] / (1 + 2λ)  /  √(Σ λ / (1 + 2λ))

has mean 0 and spread 1 for a draw of the model: the *misfit*. The fluence is fitted to the same
counts, which lowers the sum by Σ[w²/(1 + 2λ)] / Σ[w²/λ] on average; that is added. It is far above
0 for junk, for several particles in one shot, for a wrong pose or a blurred volume, in proportion
to the photons; a volume that has learnt the pattern's own noise makes it negative. The same sum
relative to the signal's, Σ (φw)²/(1 + 2λ), is the *unexplained* share of the pattern's variation,
which hardly depends on how bright it is.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.dispatch import in_loops
from xraisim.core.entries import device_blocks, upload_entries
from xraisim.core.kernels import misfit as kernels
from xraisim.core.likelihood import kernel_arguments, profiled_loglik
from xraisim.core.sampling import check_inside, slice_volume_reference
from xraisim.core.types import Photons, Pixels, Volume

_TINY = 1e-12


@dataclass(frozen=True)
class Goodness:
    """``misfit``, ``unexplained`` share and profiled relative ``fluence`` of patterns, float64.

    All are 0 for a pattern without photons.
    """

    misfit: Float[Tensor, "n"]
    unexplained: Float[Tensor, "n"]
    fluence: Float[Tensor, "n"]


def goodness(
    volume: Volume, pixels: Pixels, photons: Photons, poses: Float[Tensor, "n 4"]
) -> Goodness:
    """Return how well patterns fit a volume at their poses."""
    if not in_loops(volume.values.device):
        check_inside(pixels.s, volume.grid, volume.spacing)
        return goodness_reference(volume, pixels, photons, poses)
    found = kernels.goodness(*kernel_arguments(volume, pixels, photons, poses))
    return Goodness(*(torch.from_numpy(one) for one in found))


def goodness_reference(
    volume: Volume, pixels: Pixels, photons: Photons, poses: Float[Tensor, "n 4"]
) -> Goodness:
    """Plain torch form of :func:`goodness`, for any device."""
    parts, device = [], volume.values.device
    for rows in device_blocks(len(photons), len(pixels), device):
        entries = upload_entries(photons, rows, len(pixels), device)
        matrix = rotations.to_matrix(poses[rows])
        cut = slice_volume_reference(volume.values, matrix, pixels.s, volume.spacing)
        w = cut * pixels.gain + _TINY
        exposure, at = w.sum(1, keepdim=True).double(), w[entries.row, entries.pixel].double()
        _, fluence = profiled_loglik(entries, exposure, at[:, None], pixels.background)
        k = torch.zeros_like(w).index_put_(
            (entries.row, entries.pixel), entries.count.to(w), accumulate=True
        )
        signal = fluence.to(w) * w
        rate = signal + pixels.background + _TINY
        weight = 1 / (1 + 2 * rate)
        fitted = (w.square() * weight).sum(1) / (w.square() / rate).sum(1)
        beyond = (((k - rate).square() - rate) * weight).sum(1) + fitted
        lit = fluence[:, 0] > 0
        misfit = beyond / (rate * weight).sum(1).sqrt()
        share = beyond / (signal.square() * weight).sum(1).clamp_min(_TINY)
        parts.append(((misfit * lit).double(), (share * lit).double(), fluence[:, 0]))
    return Goodness(*(torch.cat(column) for column in zip(*parts, strict=True)))
