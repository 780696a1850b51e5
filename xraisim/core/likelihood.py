"""Poisson likelihood of poses, with each pattern's fluence profiled out.

Photons k_p ~ Poisson(φ·w_p + b_p), w_p = gain_p·V(Rᵀs_p). Without background the maximum over φ is
the multinomial likelihood Σ k log(w/Σw), so that no fluence needs to be known to find a pose.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.kernels import poses as kernels
from xraisim.core.sampling import (
    as_numpy,
    as_rows,
    check_inside,
    slice_gradient_reference,
    slice_volume_reference,
)
from xraisim.core.types import Photons, Pixels, Volume

_TINY = 1e-12
_FLUENCE_ROUNDS = 12
_REFERENCE_SAMPLES = 2**24  # slice samples held at once by the plain torch path


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
    check_inside(pixels.s, volume.grid, volume.spacing)
    if volume.values.device.type != "cpu":
        return candidate_loglik_reference(volume, pixels, photons, candidates)
    value, fluence = kernels.candidate_loglik(
        *volume_and_pose(volume, candidates), *measurement(volume, pixels, photons)
    )
    return torch.from_numpy(value), torch.from_numpy(fluence)


def candidate_loglik_reference(
    volume: Volume, pixels: Pixels, photons: Photons, candidates: Float[Tensor, "n C 4"]
) -> tuple[Float[Tensor, "n C"], Float[Tensor, "n C"]]:
    """Plain torch form of :func:`candidate_loglik`, for any device."""
    copies = candidates.shape[1]
    values, fluences = [], []
    for start, stop in blocks(len(photons), copies * len(pixels)):
        chosen = photons.take(np.arange(start, stop))
        k = chosen.dense(len(pixels)).to(volume.values.device, torch.float64)[:, None]
        matrix = rotations.to_matrix(candidates[start:stop].reshape(-1, 4))
        cut = slice_volume_reference(volume.values, matrix, pixels.s, volume.spacing)
        w = (cut * pixels.gain).double().reshape(stop - start, copies, -1) + _TINY
        value, fluence = profiled_loglik(k, w, pixels.background.double())
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


def profiled_loglik(k: Tensor, w: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Return (log-likelihood, φ) maximised over the fluence; constants in k and b left out."""
    fluence = best_fluence(k, w, background)
    rate = fluence[..., None] * w + background
    return torch.xlogy(k, rate).sum(-1) - fluence * w.sum(-1), fluence


def pose_scores(
    volume: Volume, pixels: Pixels, photons: Photons, poses: Float[Tensor, "n 4"]
) -> PoseScores:
    """Return likelihood, gradient and Fisher information at one pose per pattern.

    The Fisher information is that of the expected counts, with the fluence eliminated.
    """
    check_inside(pixels.s, volume.grid, volume.spacing)
    if volume.values.device.type != "cpu":
        return pose_scores_reference(volume, pixels, photons, poses)
    value, gradient, fisher = kernels.scores(
        *volume_and_pose(volume, poses), *measurement(volume, pixels, photons)
    )
    return PoseScores(*(torch.from_numpy(a) for a in (value, gradient, fisher)))


def pose_scores_reference(
    volume: Volume, pixels: Pixels, photons: Photons, poses: Float[Tensor, "n 4"]
) -> PoseScores:
    """Plain torch form of :func:`pose_scores`, for any device."""
    parts = []
    for start, stop in blocks(len(photons), 4 * len(pixels)):
        k = photons.take(np.arange(start, stop)).dense(len(pixels)).to(volume.values.device)
        matrix = rotations.to_matrix(poses[start:stop])
        w, d = _slice_with_derivative(volume, pixels, matrix)
        b = pixels.background.double()
        value, phi = profiled_loglik(k.double(), w, b)
        rate = phi[:, None] * w + b
        d = d * phi[:, None, None]
        gradient = ((k / rate - 1)[..., None] * d).sum(1)
        cross = torch.einsum("npa,np->na", d, w / rate)
        fisher = torch.einsum("npa,npc,np->nac", d, d, 1 / rate)
        fisher -= cross[:, :, None] * cross[:, None] / (w * w / rate).sum(1)[:, None, None]
        parts.append((value, gradient, fisher))
    return PoseScores(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _slice_with_derivative(volume: Volume, pixels: Pixels, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return w [n, P] and dw/dω [n, P, 3] for R ← R·exp(ω): dV/dω = −r × ∇V at r = Rᵀs."""
    where = (volume.values, matrix, pixels.s, volume.spacing)
    value, gradient = slice_volume_reference(*where), slice_gradient_reference(*where)
    position = torch.einsum("nji,pj->npi", matrix, pixels.s)
    derivative = torch.linalg.cross(gradient, position, dim=-1) * pixels.gain[:, None]
    return (value * pixels.gain).double() + _TINY, derivative.double()


def volume_and_pose(volume: Volume, poses: Tensor) -> tuple[Any, ...]:
    """Return the leading arguments of the pose kernels: flat volume, grid, matrices."""
    matrix = as_numpy(rotations.to_matrix(poses))
    return as_numpy(volume.values).reshape(-1), volume.grid, matrix


def measurement(volume: Volume, pixels: Pixels, photons: Photons) -> tuple[Any, ...]:
    """Return the further arguments of the pose kernels: pixels, sampling and sparse photons."""
    background = as_numpy(pixels.background)
    return (
        as_rows(pixels.s),
        as_numpy(pixels.gain),
        background,
        np.float32(1 / volume.spacing),
        photons.offsets,
        photons.pixel,
        photons.count,
        bool((background > 0).any()),
    )


def blocks(rows: int, samples_per_row: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of the rows that the plain torch path takes at once."""
    step = max(1, _REFERENCE_SAMPLES // max(1, samples_per_row))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
