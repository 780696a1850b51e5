"""What an encoder with several heads minimises."""

import torch
from jaxtyping import Float
from torch import Tensor


def pose_distance(
    heads: Float[Tensor, "n H 3 3"], target: Float[Tensor, "n 3 3"]
) -> Float[Tensor, "n H"]:
    """Return the squared chordal distance of each head to the target or to its in-plane mate.

    The mate (half a turn about the beam) gives nearly the same pattern by Friedel's law, so a
    single pattern cannot tell the two apart.
    """
    mate = target * target.new_tensor([-1.0, -1.0, 1.0])[:, None]
    to_target = (heads - target[:, None]).square().sum((-1, -2))
    to_mate = (heads - mate[:, None]).square().sum((-1, -2))
    return torch.minimum(to_target, to_mate)


def encoder_loss(
    heads: Float[Tensor, "n H 3 3"],
    logits: Float[Tensor, "n H"],
    target: Float[Tensor, "n 3 3"],
    mean_weight: float = 0.02,
) -> Float[Tensor, ""]:
    """Return the winner's distance, a little of every head's, and the choice of the winner.

    Only the best head learns the target, so the heads stay free to cover different regions; the
    small mean keeps an idle head from drifting away for good; the logits learn which head wins.
    """
    distance = pose_distance(heads, target)
    best, winner = distance.min(1)
    choice = torch.nn.functional.cross_entropy(logits, winner)
    return best.mean() + mean_weight * distance.mean() + 0.1 * choice
