"""How far down the support reaches, decided by amplitudes that a trial never saw.

A shrinkwrap at a fraction of the highest density cuts off what is fainter than that: the tails of a
smooth particle, a light domain beside a dense one. Every start then agrees on the same wrong
density. A support that is too tight cannot reproduce the amplitudes; one that is too wide fits
their noise. Both fail to predict amplitudes that were held out (Brünger's free R-factor, 1992), so
the best start is carried on a little for each of several thresholds with a twentieth of the
amplitudes left free, for as long as the R-factor *there* falls. The lowest is taken if it is less
than half of the first one.

Half, because the noise of a merged intensity is as smooth as the particle's speckles: neighbours of
what was held out tell its noise too, and a wider support predicts it a little better each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event

import torch
from jaxtyping import Bool
from torch import Tensor

from baselines.phasing.config import StageConfig
from baselines.phasing.stage import Stage, Starts
from baselines.phasing.support import FIRST_THRESHOLD
from baselines.phasing.transforms import to_half

#: each about half of the one before
THRESHOLDS = (FIRST_THRESHOLD, 0.05, 0.025, 0.012, 0.006, 0.003)
_HELD_OUT = 0.05
_BETTER = 0.9
_MUCH = 0.5  # of the first; wider supports on noise alone came to 0.65
_SCHEDULE = "30 raar, 10 er"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one threshold: R-factors where F was held and where it was left free."""

    threshold: float
    support_angstrom3: float
    r_factor: float
    free_r_factor: float


def weigh_thresholds(
    fine: Stage, coarse: Stage, start: Starts, draw: torch.Generator, halt: Event
) -> tuple[Trial, ...]:
    """Return trials of falling thresholds, the last of which was no better than the one before.

    ``start``: the one of lowest R-factor, on the grid of ``coarse``.
    """
    held_out = _held_out(fine, draw)
    known = fine.modulus
    brief = StageConfig(schedule=_SCHEDULE, support_every=10, blur_voxels=fine.settings.blur_voxels)
    unseen = known.without(~held_out)
    trials: list[Trial] = []
    for threshold in THRESHOLDS:
        stage = replace(fine, modulus=known.without(held_out), settings=brief, threshold=threshold)
        found = stage.iterate(stage.from_coarser(coarse, start), lambda iterations: None, halt)
        if halt.is_set():
            break
        trial = Trial(
            threshold=threshold,
            support_angstrom3=float(found.support.sum()) * fine.voxel**3,
            r_factor=found.r_factor[0],
            free_r_factor=unseen.r_factors(found.density, found.background)[0],
        )
        trials.append(trial)
        if _lowest(trials) is not trial:
            break
    return tuple(trials)


def chosen(trials: Sequence[Trial]) -> Trial:
    """Return the last trial that predicts better than those before, if by much; else the first."""
    best = _lowest(trials)
    return best if best.free_r_factor < _MUCH * trials[0].free_r_factor else trials[0]


def _lowest(trials: Sequence[Trial]) -> Trial:
    best = trials[0]
    for trial in trials[1:]:
        if trial.free_r_factor < _BETTER * best.free_r_factor:
            best = trial
    return best


def _held_out(stage: Stage, draw: torch.Generator) -> Bool[Tensor, "N N H"]:
    """Return a random twentieth of the known amplitudes, each with its Friedel mate."""
    random = torch.rand((stage.size,) * 3, generator=draw)
    random = torch.minimum(random, random.flip(0, 1, 2))  # below p with probability 2p − p²
    limit = 1 - (1 - _HELD_OUT) ** 0.5
    drawn = to_half(random < limit, stage.grid).to(stage.modulus.weight.device)
    return drawn & (stage.modulus.weight > 0)
