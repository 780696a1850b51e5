"""A pose or its near-symmetric mate: which of the two is likelier, and by how much."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.refine import NewtonSteps, Poses, refine
from xraisim.core import so3

_DECIDED = 20.0  # nats between a pose and its mate: beyond doubt, even if the volume is not exact


def refine_hypotheses(
    likelihood: PoseLikelihood, hypotheses: Float[Tensor, "n C 4"], steps: NewtonSteps
) -> Poses:
    """Refine every hypothesis and the in-plane mate of the best; return the likeliest."""
    best, *others = (
        refine(likelihood, hypothesis.contiguous(), steps) for hypothesis in hypotheses.unbind(1)
    )
    for other in others:
        best = best.better(other)
    return score_mates(likelihood, best, steps)


def score_mates(likelihood: PoseLikelihood, poses: Poses, steps: NewtonSteps) -> Poses:
    """Return the likelier of each pose and its refined near-symmetric mate, with the margin.

    ``poses`` have the log-likelihoods of this ``likelihood``. Where a pose has beaten its mate by
    far it is left alone: only the Ewald sphere's curvature tells the two apart, so bright patterns
    decide early, and faint ones farther out.
    """
    still_open = torch.nonzero(poses.mate_margin < _DECIDED)[:, 0]
    if not len(still_open):
        return poses
    held = poses.at(still_open)
    mates = so3.in_plane_mate(held.quaternion)
    rivals = refine(likelihood.take(still_open), mates, steps)
    margin = (held.loglik - rivals.loglik).abs()
    return poses.changed(still_open, replace(held.better(rivals), mate_margin=margin))
