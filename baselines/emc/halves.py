"""Two half-sets: how far independent halves of the patterns agree, without any truth."""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from baselines.emc.iterate import Estimate
from xraisim.core.fsc import Resolution
from xraisim.core.halves import agreement, members


def half_members(chosen: Bool[Tensor, "N"], sets: int) -> list[Bool[Tensor, "N"]]:
    """Return the patterns of each of ``sets`` estimates: all of them, or every other one."""
    every = members(slice(0, len(chosen)), sets)
    return [torch.zeros_like(chosen).index_fill(0, some, True) & chosen for some in every]


def half_resolution(estimates: list[Estimate], s_max: float) -> Resolution | None:
    """Return how far the first classes of two halves correlate; None for one estimate."""
    found = agreement([one.models[0].volume for one in estimates], 0.0, s_max)
    return None if found is None else found.resolution


def combined(estimates: list[Estimate], chosen: Bool[Tensor, "N"]) -> Estimate:
    """Return both halves as one: the mean of their volumes, each pattern's own fluence."""
    first = estimates[0]
    models = []
    for alike in zip(*(one.models for one in estimates), strict=True):
        values = torch.stack([model.volume.values for model in alike]).mean(0)
        share = sum(model.share for model in alike) / len(alike)
        volume = replace(alike[0].volume, values=values)
        merged = [model.exposure for model in alike if model.exposure is not None]
        exposure = torch.stack(merged).sum(0) if merged else None
        models.append(replace(alike[0], volume=volume, share=share, exposure=exposure))
    fluence = first.fluence.clone()
    halves = half_members(chosen, len(estimates))
    for one, some in zip(estimates, halves, strict=True):
        fluence[some] = one.fluence[some]
    return replace(first, models=models, fluence=fluence)
