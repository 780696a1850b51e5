"""What an encoder of cells minimises."""

from jaxtyping import Float
from torch import Tensor, nn

from xrai.encoder import Encoder


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
