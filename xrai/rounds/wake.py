"""The amortised start: encoder and implicit decoder learn together from a random start.

For each pattern of a batch the encoder's posterior over SO(3) proposes a few rotations, the decoder
gives each its likelihood, and importance weights w ∝ likelihood^β / proposal say what both learn:
the encoder −Σ w log q, the decoder a pose *drawn* from w, so that its gradient is that of
expectation-maximisation. β grows from where a pattern's photons count as a few of them to 1
(reweighted wake-sleep, Bornschein & Bengio 2015, annealed). Nothing is searched.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from xrai.config import AmortisedConfig
from xrai.decoder import ImplicitDecoder
from xrai.encoder import Encoder
from xraisim.core import rotations, so3
from xraisim.core.likelihood import best_fluence, photon_nll
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Pixels

_TINY = 1e-9


@dataclass(frozen=True)
class Draws:
    """The random numbers of a step, for all patterns of its batch."""

    cell: Float[Tensor, "n K"]
    turn: Float[Tensor, "n K 3"]
    flip: Float[Tensor, "n K"]
    pick: Float[Tensor, "n"]

    @classmethod
    def of(cls, size: int, candidates: int, random: torch.Generator) -> "Draws":
        """Draw them."""
        device = random.device
        return cls(
            cell=torch.rand(size, candidates, generator=random, device=device),
            turn=torch.randn(size, candidates, 3, generator=random, device=device),
            flip=torch.rand(size, candidates, generator=random, device=device),
            pick=torch.rand(size, generator=random, device=device),
        )

    def share(self, rows: slice) -> "Draws":
        """Return those of some patterns."""
        return Draws(self.cell[rows], self.turn[rows], self.flip[rows], self.pick[rows])


class WakeStep(nn.Module):
    """Both networks and what they learn of a batch: one loss, whose gradients may be averaged."""

    def __init__(
        self, encoder: Encoder, decoder: ImplicitDecoder, pixels: Pixels, config: AmortisedConfig
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self.pixels = pixels

    def forward(self, counts: Float[Tensor, "n P"], beta: float, draws: Draws) -> Tensor:
        """Return the loss: cross-entropy of the encoder + negative log-likelihood per photon."""
        logits = self.encoder(counts[:, : self.encoder.pattern.inputs])
        volume = self.decoder.values()
        counts = counts[:, : len(self.pixels)]
        with torch.no_grad():
            cell, chance = propose(logits, draws.cell, self.config.explore)
            pose = self._within(cell, draws)
            rates = self._slices(volume, pose.reshape(-1, 4)).reshape(*cell.shape, -1)
            loglik = dense_loglik(counts, rates, self.pixels.background)
            weight = (beta * loglik - chance.log()).softmax(1)
            number = torch.searchsorted(weight.cumsum(1), draws.pick[:, None])
            number = number.clamp_max(cell.shape[1] - 1)
            drawn = pose.gather(1, number[..., None].expand(-1, -1, 4))[:, 0]
        said = logits.log_softmax(1).gather(1, cell)
        cut = self._slices(volume, drawn)
        nll = photon_nll(counts, cut, self.pixels.background)
        return nll.mean() - (weight * said).sum(1).mean()

    def _slices(self, volume: Tensor, pose: Tensor) -> Tensor:
        matrix = rotations.to_matrix(pose).contiguous()
        return slice_volume(volume, matrix, self.pixels.s, self.decoder.spacing) * self.pixels.gain

    def _within(self, cell: Int[Tensor, "n K"], draws: Draws) -> Float[Tensor, "n K 4"]:
        """Return rotations somewhere within the cells, or their near-symmetric mates."""
        cells = self.encoder.cells
        turn = rotations.from_rotation_vector(self.config.jitter * cells.spacing_rad * draws.turn)
        pose = rotations.multiply(cells.grid[cell], turn)
        return torch.where(draws.flip[..., None] < 0.5, so3.in_plane_mate(pose), pose)


def propose(
    logits: Float[Tensor, "n cells"], uniform: Float[Tensor, "n K"], explore: float
) -> tuple[Int[Tensor, "n K"], Float[Tensor, "n K"]]:
    """Draw cells from a posterior, mixed with a share of all alike; return them and their chance.

    By inverting the cumulative sum at ``uniform`` numbers.
    """
    chance = logits.softmax(1) * (1 - explore) + explore / logits.shape[1]
    summed = chance.cumsum(1)
    cell = torch.searchsorted(summed, uniform * summed[:, -1:]).clamp_max(logits.shape[1] - 1)
    return cell, chance.gather(1, cell)


def dense_loglik(
    counts: Float[Tensor, "n P"], rates: Float[Tensor, "n K P"], background: Float[Tensor, "P"]
) -> Float[Tensor, "n K"]:
    """Return the Poisson log-likelihood of K candidates per pattern, the fluence profiled out."""
    k, w = counts[:, None], rates + _TINY
    if not bool((background > 0).any()):
        shape = torch.einsum("nkp,np->nk", w.log(), counts)
        return shape - counts.sum(1, keepdim=True) * w.sum(-1).log()
    fluence = best_fluence(k, w, background)
    expected = fluence[..., None] * w + background
    return torch.einsum("nkp,np->nk", expected.log(), counts) - expected.sum(-1)
