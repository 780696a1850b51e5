"""What is minimised: the photons' negative log-likelihood, and the encoders' pose losses."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xrai.encoder import Encoder
from xraisim.core.likelihood import best_fluence

_TINY = 1e-9


def photon_nll(
    counts: Float[Tensor, "n P"], rates: Float[Tensor, "n P"], background: Float[Tensor, "P"]
) -> Float[Tensor, "n"]:
    """Return the negative Poisson log-likelihood per photon, the fluence profiled out.

    ``rates`` are the photons expected at unit fluence. A pattern without photons has none to
    explain: 0, and no gradient. By the envelope theorem the gradient at the
    best fluence is that of the profiled likelihood, so the fluence carries no gradient.
    """
    rates = rates + _TINY
    with torch.no_grad():
        fluence = best_fluence(counts, rates, background)
    expected = fluence[:, None] * rates + background
    logarithm = expected.clamp_min(torch.finfo(expected.dtype).tiny).log()
    total = counts.sum(1)
    return (expected.sum(1) - (counts * logarithm).sum(1)) / total.clamp_min(1)


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


class PosteriorLoss(nn.Module):
    """Cross-entropy (nat) of the encoder's posterior over the cells that share a known pose.

    A module around the encoder, so that ``DistributedDataParallel`` can wrap it.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, counts: Float[Tensor, "n P"], pose: Float[Tensor, "n 4"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the patterns."""
        cell, share = self.encoder.cells.shares(pose)
        logits = self.encoder(counts)
        return (logits.logsumexp(1) - (logits.gather(1, cell) * share).sum(1)).mean()
