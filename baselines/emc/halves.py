"""Two half-sets: how far independent halves of the patterns agree, without any truth."""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from baselines.emc.iterate import Estimate
from xraisim.core.fsc import first_crossing, intensity_correlation, shell_s

RULE = "icc_half_0.143"


def half_members(chosen: Bool[Tensor, "N"], sets: int) -> list[Bool[Tensor, "N"]]:
    """Return the patterns of each of ``sets`` estimates: all of them, or every other one."""
    number = torch.arange(len(chosen))
    return [chosen & (number % sets == which) for which in range(sets)]


def half_resolution(estimates: list[Estimate], s_max: float) -> float | None:
    """Return where the first class of two halves stops to correlate (Å); None for one estimate.

    Pearson's correlation per shell, its mean removed, below 0.143: half the data then correlate
    with the truth by 0.5, were they free of a common error.
    """
    if len(estimates) != 2:
        return None
    first, second = (one.models[0].volume for one in estimates)
    curve = intensity_correlation(first.values.cpu(), second.values.cpu())
    s = shell_s(first.grid, first.spacing)
    return first_crossing(curve, s, 0.143, RULE, (0.0, s_max)).angstrom


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
    members = half_members(chosen, len(estimates))
    for one, some in zip(estimates, members, strict=True):
        fluence[some] = one.fluence[some]
    return replace(first, models=models, fluence=fluence)
