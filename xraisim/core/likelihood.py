"""Poisson likelihood of poses, with each pattern's fluence profiled out.

Photons k_p ~ Poisson(φ·w_p + b_p), w_p = gain_p·V(Rᵀs_p). Without background the maximum over φ is
the multinomial likelihood Σ k log(w/Σw), so that no fluence needs to be known to find a pose.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.admission import check_rows
from xraisim.core.dispatch import in_loops
from xraisim.core.entries import Entries, device_blocks, upload_entries
from xraisim.core.kernels import likelihood as kernels
from xraisim.core.sampling import (
    as_numpy,
    as_rows,
    check_cube,
    check_inside,
    slice_and_turn_reference,
    slice_volume_reference,
)
from xraisim.core.types import Photons, Pixels, Volume

_TINY = 1e-12
_FLUENCE_ROUNDS = 12
_FAINTEST = 1e-9  # photons expected: what is added so that a logarithm is finite


@dataclass(frozen=True)
class PoseScores:
    """Log-likelihood [n], its gradient [n, 3] and Fisher information [n, 3, 3] at one pose each.

    Derivatives are with respect to a rotation vector ω (radians) in the particle frame,
    R ← R·exp(ω); all float64.
    """

    value: Float[Tensor, "n"]
    gradient: Float[Tensor, "n 3"]
    fisher: Float[Tensor, "n 3 3"]


def candidate_loglik(
    volume: Volume, pixels: Pixels, photons: Photons, candidates: Float[Tensor, "n C 4"]
) -> tuple[Float[Tensor, "n C"], Float[Tensor, "n C"]]:
    """Return the log-likelihood and the profiled relative fluence of C poses for each pattern.

    Photons in pixels beyond ``pixels`` are ignored, so a prefix of the pixels is a resolution cut.
    The constant Σ log k! is left out. Float64 on the volume's device.
    """
    if not in_loops(volume.values.device):
        check_inside(pixels.s, volume.grid, volume.spacing)
        return candidate_loglik_reference(volume, pixels, photons, candidates)
    value, fluence = kernels.candidate_loglik(
        *kernel_arguments(volume, pixels, photons, candidates)
    )
    return torch.from_numpy(value), torch.from_numpy(fluence)


def candidate_loglik_reference(
    volume: Volume, pixels: Pixels, photons: Photons, candidates: Float[Tensor, "n C 4"]
) -> tuple[Float[Tensor, "n C"], Float[Tensor, "n C"]]:
    """Plain torch form of :func:`candidate_loglik`, for any device."""
    values, fluences, device = [], [], volume.values.device
    copies = candidates.shape[1]
    for rows in device_blocks(len(photons), copies * len(pixels), device):
        matrix = rotations.to_matrix(candidates[rows].reshape(-1, 4))
        cut = slice_volume_reference(volume.values, matrix, pixels.s, volume.spacing)
        w = (cut * pixels.gain + _TINY).reshape(-1, copies, len(pixels))
        entries = upload_entries(photons, rows, len(pixels), device)
        lit = w[entries.row, :, entries.pixel].double()
        value, fluence = profiled_loglik(entries, w.sum(-1).double(), lit, pixels.background)
        values.append(value)
        fluences.append(fluence)
    return torch.cat(values), torch.cat(fluences)


def best_fluence(k: Tensor, w: Tensor, background: Tensor) -> Tensor:
    """Return the likeliest fluence [...] for counts and unit-fluence rates [..., P].

    In closed form without background; with it, by expectation-maximisation of the signal's share.
    """
    exposure = w.sum(-1)
    fluence = k.sum(-1) / exposure
    if bool((background > 0).any()):
        for _ in range(_FLUENCE_ROUNDS):
            lit = fluence[..., None] * w
            fluence = (k * lit / (lit + background)).sum(-1) / exposure
    return fluence


def profiled_loglik(
    entries: Entries,
    exposure: Float[Tensor, "n C"],
    w: Float[Tensor, "m C"],
    background: Float[Tensor, "P"],
) -> tuple[Float[Tensor, "n C"], Float[Tensor, "n C"]]:
    """Return (log-likelihood, φ) maximised over the fluence; constants in k and b left out.

    ``exposure``: the sum over all pixels of the rates at unit fluence, ``w``: these rates at the
    entries alone; float64. In closed form without background; with it, by
    expectation-maximisation of the signal's share.
    """
    k, b = entries.count[:, None], background.double()[entries.pixel, None]
    fluence = entries.totals(k) / exposure
    if bool((background > 0).any()):
        for _ in range(_FLUENCE_ROUNDS):
            lit = fluence[entries.row] * w
            fluence = entries.totals(k * lit / (lit + b)) / exposure
    rate = fluence[entries.row] * w + b
    return entries.totals(torch.xlogy(k, rate)) - fluence * exposure, fluence


def pose_scores(
    volume: Volume, pixels: Pixels, photons: Photons, poses: Float[Tensor, "n 4"]
) -> PoseScores:
    """Return likelihood, gradient and Fisher information at one pose per pattern.

    The Fisher information is that of the expected counts, with the fluence eliminated; gradient
    and information of a pattern without photons are 0.
    """
    if not in_loops(volume.values.device):
        check_inside(pixels.s, volume.grid, volume.spacing)
        return pose_scores_reference(volume, pixels, photons, poses)
    value, gradient, fisher = kernels.scores(*kernel_arguments(volume, pixels, photons, poses))
    return PoseScores(*(torch.from_numpy(a) for a in (value, gradient, fisher)))


def pose_scores_reference(
    volume: Volume, pixels: Pixels, photons: Photons, poses: Float[Tensor, "n 4"]
) -> PoseScores:
    """Plain torch form of :func:`pose_scores`, for any device.

    What all pixels take part in stays in the volume's precision; sums are made in trees.
    """
    parts, device = [], volume.values.device
    for rows in device_blocks(len(photons), len(pixels), device):
        entries = upload_entries(photons, rows, len(pixels), device)
        x = _slice_with_derivative(volume, pixels, rotations.to_matrix(poses[rows]))
        total, at = x.sum(1).double(), x[entries.row, entries.pixel].double()
        value, phi = profiled_loglik(entries, total[:, 3:], at[:, 3:], pixels.background)
        lit = phi > 0  # else all below is 0, and must not be divided by 0
        rate = torch.where(lit, phi, 1).to(x) * x[..., 3] + pixels.background
        # Σ (dw/dω, w)(dw/dω, w)ᵀ/λ: the information of pose and fluence in one product.
        whole = (x.mT @ (x / rate[..., None])).double()
        cross, scale = whole[:, :3, 3], phi.square()[:, :, None]
        fisher = whole[:, :3, :3] - cross[:, :, None] * cross[:, None] / whole[:, 3:, 3:]
        ratio = entries.count / rate[entries.row, entries.pixel].double()
        gradient = phi * (entries.totals(ratio[:, None] * at[:, :3]) - total[:, :3])
        parts.append((value[:, 0], gradient, scale * fisher))
    return PoseScores(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _slice_with_derivative(
    volume: Volume, pixels: Pixels, matrix: Float[Tensor, "n 3 3"]
) -> Float[Tensor, "n P 4"]:
    """Return dw/dω for R ← R·exp(ω), then w."""
    where = (volume.values, matrix, pixels.s, volume.spacing)
    value, derivative = slice_and_turn_reference(*where)
    x = value.new_empty(*value.shape, 4)
    torch.mul(derivative, pixels.gain[:, None], out=x[..., :3])
    torch.mul(value, pixels.gain, out=x[..., 3]).add_(_TINY)
    return x


def kernel_arguments(
    volume: Volume, pixels: Pixels, photons: Photons, poses: Float[Tensor, "n *C 4"]
) -> tuple[Any, ...]:
    """Return what the pose kernels take, checked: their loops look at no bounds.

    Flat volume, grid, matrices; pixels and sampling; sparse photons; whether there is background.
    """
    matrix = rotations.to_matrix(poses)
    check_cube(volume.values)
    check_inside(pixels.s, volume.grid, volume.spacing, matrix)
    check_rows(photons, len(poses))
    background = as_numpy(pixels.background)
    return (
        as_numpy(volume.values).reshape(-1),
        volume.grid,
        as_numpy(matrix),
        as_rows(pixels.s),
        as_numpy(pixels.gain),
        background,
        np.float32(1 / volume.spacing),
        photons.offsets,
        photons.pixel,
        photons.count,
        pixels.has_background,
    )


def photon_nll(
    counts: Float[Tensor, "n P"], rates: Float[Tensor, "n P"], background: Float[Tensor, "P"]
) -> Float[Tensor, "n"]:
    """Return the negative Poisson log-likelihood per photon, the fluence profiled out.

    ``rates`` are the photons expected at unit fluence. A pattern without photons has none to
    explain: 0, and no gradient. By the envelope theorem the gradient at the
    best fluence is that of the profiled likelihood, so the fluence carries no gradient.
    """
    rates = rates + _FAINTEST
    with torch.no_grad():
        fluence = best_fluence(counts, rates, background)
    expected = fluence[:, None] * rates + background
    logarithm = expected.clamp_min(torch.finfo(expected.dtype).tiny).log()
    total = counts.sum(1)
    return (expected.sum(1) - (counts * logarithm).sum(1)) / total.clamp_min(1)
