"""Cases of :mod:`xraisim.core`: slices, likelihoods, merging, random numbers."""

from typing import Any

import numpy as np
import torch

from benchmarks.studies.kernels.cases import Pair, timed
from benchmarks.studies.kernels.inputs import detector, draw, intensity, patterns
from xraisim.core import rotations, so3
from xraisim.core.likelihood import (
    PoseScores,
    candidate_loglik,
    candidate_loglik_reference,
    pose_scores,
    pose_scores_reference,
)
from xraisim.core.merge import Accumulator
from xraisim.core.misfit import Goodness, goodness, goodness_reference
from xraisim.core.random import uniforms
from xraisim.core.sampling import (
    insert_slice_pairs,
    insert_slices,
    insert_slices_reference,
    slice_volume,
    slice_volume_reference,
)
from xraisim.core.types import Volume

_KERNELS = "xraisim.core.kernels"
_BACKGROUND = 0.01


@timed(f"{_KERNELS}.sampling.slice_forward", size=256, tiny=3)
def slice_forward(number: int) -> Pair:
    """Return the slices of a volume at ``number`` orientations."""
    volume, pixels = intensity(), detector()
    where = rotations.to_matrix(so3.haar(number, draw())), pixels.s, volume.spacing
    return Pair(
        fast=slice_volume,
        reference=slice_volume_reference,
        arguments=lambda: (volume.values, *where),
    )


@timed(f"{_KERNELS}.sampling.rotation_backward", size=128, tiny=3)
def rotation_backward(number: int) -> Pair:
    """Return slices and the derivative of their sum by the orientations."""
    volume, pixels = intensity(), detector()
    matrix = rotations.to_matrix(so3.haar(number, draw()))

    def gradient(form: Any) -> torch.Tensor:
        turned = matrix.clone().requires_grad_()
        form(volume.values, turned, pixels.s, volume.spacing).sum().backward()
        assert turned.grad is not None
        return turned.grad

    return Pair(
        fast=lambda: gradient(slice_volume),
        reference=lambda: gradient(slice_volume_reference),
        tolerance=1e-3,
    )


@timed(f"{_KERNELS}.sampling.insert_forward", size=128, tiny=3)
def insert_forward(number: int) -> Pair:
    """Return the adjoint of ``number`` slices."""
    pixels, grid = detector(), intensity().grid
    values = torch.rand(number, len(pixels), generator=draw())
    where = rotations.to_matrix(so3.haar(number, draw())), pixels.s, intensity().spacing, grid
    return Pair(
        fast=insert_slices, reference=insert_slices_reference, arguments=lambda: (values, *where)
    )


@timed(f"{_KERNELS}.sampling.insert_pairs", size=128, tiny=3)
def insert_pairs(number: int) -> Pair:
    """Return the adjoint of two sets of ``number`` slices at the same places."""
    pixels, grid = detector(), intensity().grid
    both = torch.rand(2, number, len(pixels), generator=draw())
    where = rotations.to_matrix(so3.haar(number, draw())), pixels.s, intensity().spacing, grid

    def one_by_one(first: torch.Tensor, second: torch.Tensor) -> list[torch.Tensor]:
        return [insert_slices_reference(values, *where) for values in (first, second)]

    return Pair(
        fast=lambda first, second: insert_slice_pairs(first, second, *where),
        reference=one_by_one,
        arguments=lambda: (both[0], both[1]),
        read=list,
    )


def _experiment(number: int, background: float = _BACKGROUND) -> tuple[Any, ...]:
    """Return a volume scaled to a pattern's photons, pixels, patterns and their orientations."""
    volume, pixels = intensity(), detector(background=background)
    photons, poses, counts = patterns(number, pixels, volume)
    rate = pixels.gain * slice_volume(
        volume.values, rotations.to_matrix(poses), pixels.s, volume.spacing
    )
    values = volume.values * (counts.sum() / rate.sum())
    scaled = Volume(values=values, spacing=volume.spacing, kind=volume.kind)
    return scaled, pixels, photons, poses


@timed(f"{_KERNELS}.likelihood.candidate_loglik", size=16, tiny=2)
def candidates(number: int) -> Pair:
    """Return log-likelihood and fluence of 16 orientations of each pattern."""
    volume, pixels, photons, poses = _experiment(number)
    near = so3.perturb(poses, 16, 0.1, draw(3))
    return Pair(
        fast=candidate_loglik,
        reference=candidate_loglik_reference,
        arguments=lambda: (volume, pixels, photons, near),
        read=tuple,
    )


def _flat_scores(found: PoseScores) -> list[torch.Tensor]:
    return [found.value, found.gradient, found.fisher]


@timed(f"{_KERNELS}.likelihood.scores", size=64, tiny=3)
def scores(number: int) -> Pair:
    """Return likelihood, gradient and information of one orientation of each pattern."""
    experiment = _experiment(number)
    return Pair(
        fast=pose_scores,
        reference=lambda *given: _flat_scores(pose_scores_reference(*given)),
        arguments=lambda: experiment,
        read=_flat_scores,
        tolerance=1e-3,
    )


def _flat_goodness(found: Goodness) -> list[torch.Tensor]:
    return [found.misfit, found.unexplained, found.fluence]


@timed(f"{_KERNELS}.misfit.goodness", size=128, tiny=3)
def misfit(number: int) -> Pair:
    """Return how well each pattern fits the volume."""
    experiment = _experiment(number)
    return Pair(
        fast=goodness,
        reference=lambda *given: _flat_goodness(goodness_reference(*given)),
        arguments=lambda: experiment,
        read=_flat_goodness,
        tolerance=1e-3,
    )


@timed(f"{_KERNELS}.merge.accumulate", size=128, tiny=3)
def accumulate(number: int) -> Pair:
    """Add patterns without background to the sums."""
    volume, pixels, photons, poses = _experiment(number, background=0.0)
    fluence, typical = torch.ones(number), torch.ones(len(pixels))

    def fast(sums: Accumulator) -> Accumulator:
        sums.add(pixels, photons, poses, fluence)
        return sums

    def plain(sums: Accumulator) -> list[torch.Tensor]:
        sums.add_reference(pixels, photons, poses, fluence, fluence, typical)
        return [sums.photons, sums.exposure]

    return Pair(
        fast=fast,
        reference=plain,
        arguments=lambda: (Accumulator.empty(volume.grid, volume.spacing),),
        read=lambda sums: [sums.photons, sums.exposure],
        tolerance=1e-3,
    )


@timed(f"{_KERNELS}.philox.fill_uniforms", size=1_000_000, tiny=4_000)
def counter_based_uniforms(number: int) -> Pair:
    """Return the mean of four uniforms per pattern; the plain form is numpy's own generator."""
    indices = np.arange(number)
    return Pair(
        fast=lambda: uniforms(0, "speed", indices, 4).mean(0),
        reference=lambda: np.random.Generator(np.random.Philox(0)).random((number, 4)).mean(0),
        tolerance=0.1,
    )
