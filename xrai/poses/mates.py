"""A pose or its near-symmetric mate: which of the two is likelier, and by how much."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.poses.refine import Poses, refine
from xraisim.core import so3
from xraisim.core.types import Photons, Pixels, Volume

_DECIDED = 20.0  # nats between a pose and its mate: beyond doubt, even if the volume is not exact


def refine_hypotheses(
    volume: Volume,
    pixels: Pixels,
    photons: Photons,
    hypotheses: Float[Tensor, "n C 4"],
    iterations: int,
    max_step_rad: float,
) -> Poses:
    """Refine every hypothesis and the in-plane mate of the best; return the likeliest."""
    arguments = (iterations, max_step_rad)
    best = refine(volume, pixels, photons, hypotheses[:, 0].contiguous(), *arguments)
    for column in range(1, hypotheses.shape[1]):
        other = hypotheses[:, column].contiguous()
        best = best.better(refine(volume, pixels, photons, other, *arguments))
    return score_mates(volume, pixels, photons, best, *arguments)


def score_mates(
    volume: Volume,
    pixels: Pixels,
    photons: Photons,
    poses: Poses,
    iterations: int,
    max_step_rad: float,
) -> Poses:
    """Return the likelier of each pose and its refined near-symmetric mate, with the margin.

    ``poses`` have the log-likelihoods of these pixels. Where a pose has beaten its mate by far it
    is left alone: only the Ewald sphere's curvature tells the two apart, so bright patterns decide
    early, and faint ones farther out.
    """
    still_open = torch.nonzero(poses.mate_margin < _DECIDED)[:, 0]
    if not len(still_open):
        return poses
    some, held = photons.take(still_open.cpu().numpy()), poses.at(still_open)
    mates = so3.in_plane_mate(held.quaternion)
    rivals = refine(volume, pixels, some, mates, iterations, max_step_rad)
    margin = (held.loglik - rivals.loglik).abs()
    return poses.changed(still_open, replace(held.better(rivals), mate_margin=margin))
