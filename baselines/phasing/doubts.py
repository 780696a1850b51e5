"""What speaks against a result on which all starts agree: amplitudes that it does not have.

The PRTF tells how far starts agree, and they may agree on something wrong. Then the density does
not reproduce the amplitudes: its R-factor is above the noise's, in the outer shells first, and it
has risen since the coarse stage.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.phasing.stage import Stage, Starts
from xraisim.core.fsc import Resolution

_RISEN, _LEAST_RISE = 1.3, 0.01
_BAD_SHELL = 0.35  # shells of noisy intensities rightly phased come to 0.25, whatever n says
_NOISE = 1.5
_ADVICE = "give a lower threshold (--config) or a support (--support)"


def shell_r_factors(stage: Stage, start: Starts) -> Float[Tensor, "shells"]:
    """Return the R-factor of one start in each shell up to the edge (float64, on the CPU).

    NaN where no amplitude is known.
    """
    error, total = _misfit(stage, start)
    return (error / total)[: stage.size // 2 + 1].cpu()


def doubts(
    stage: Stage,
    start: Starts,
    coarse: tuple[Stage, float],
    resolution: Resolution,
    noise: Float[Tensor, "shells"],
) -> tuple[str, ...]:
    """Return what to warn of: sentences about the best start, none if all is well.

    ``coarse``: the stage before and the lowest R-factor in it; ``resolution``: what is claimed;
    ``noise``: R-factors that the noise explains, shell by shell.
    """
    found = (
        _rise(coarse[1], _r_factor_within(stage, start, coarse[0].s_range[1])),
        _bad_shell(shell_r_factors(stage, start), noise, stage.spacing, resolution),
    )
    return tuple(sentence for sentence in found if sentence is not None)


def _misfit(stage: Stage, start: Starts) -> tuple[Tensor, Tensor]:
    level = None if start.background is None else start.background[0]
    return stage.modulus.misfit(start.density[0], level)


def _r_factor_within(stage: Stage, start: Starts, s_max_per_angstrom: float) -> float:
    error, total = _misfit(stage, start)
    inside = int(s_max_per_angstrom / stage.spacing) + 1
    return float(error[:inside].sum() / total[:inside].sum())


def _rise(coarse: float, fine: float) -> str | None:
    if fine < _RISEN * coarse or fine - coarse < _LEAST_RISE:
        return None
    return (
        f"the R-factor of the same amplitudes rose from {coarse:.3f} to {fine:.3f} between the "
        f"coarse and the fine stage: the support may cut the particle off; {_ADVICE}"
    )


def _bad_shell(
    r_factors: Float[Tensor, "shells"],
    noise: Float[Tensor, "more"],
    spacing: float,
    resolution: Resolution,
) -> str | None:
    """Return a warning of two neighbouring shells, within what is claimed, that do not fit."""
    bad = r_factors > (_NOISE * noise[: len(r_factors)]).hypot(noise.new_tensor(_BAD_SHELL))
    number = torch.nonzero(bad[:-1] & bad[1:])
    if resolution.angstrom is None or not len(number):
        return None
    first = int(number[0])
    if first * spacing >= 1 / resolution.angstrom:
        return None
    where = f"beyond {1 / (first * spacing):.3g} Å" if first else "everywhere"
    return (
        f"{where} the density does not have the measured amplitudes (R-factor "
        f"{float(r_factors[first]):.2f} where noise explains {float(noise[first]):.2f}), though "
        f"the starts agree to {resolution}: do not trust it there; {_ADVICE}, or cut the range "
        "with --resolution"
    )
