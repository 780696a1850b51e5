"""The encoder of the published method: a square image in, rotations out (Shenoy et al. 2025)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xraisim.core import rotations
from xraisim.core.types import Pixels

_LARGEST_IMAGE = 48
_WIDTH = 256


class PatternImage(nn.Module):
    """Sparse detector pixels → a small square image of log counts, standardised per cell.

    The image covers the pixels given, centred on the beam and binned until it is at most 48 cells
    wide. Counts are scaled to a common total first, so that the fluence does not show; masked cells
    are zero.
    """

    cell: Tensor
    total: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, pixels: Pixels) -> None:
        super().__init__()
        row, column, width = _about_beam(pixels)
        binning = math.ceil(width / _LARGEST_IMAGE)
        self.size = math.ceil(width / binning)
        self.register_buffer("cell", (row // binning) * self.size + column // binning)
        self.register_buffer("total", torch.tensor(1.0))
        self.register_buffer("mean", torch.zeros(self.size**2))
        self.register_buffer("deviation", torch.ones(self.size**2))

    def _log_counts(self, counts: Float[Tensor, "n P"], total: Tensor) -> Float[Tensor, "n S"]:
        scaled = counts * (total / counts.sum(1, keepdim=True).clamp_min(1))
        image = scaled.new_zeros(len(counts), self.size**2).index_add_(1, self.cell, scaled)
        return torch.log1p(image)

    def calibrate(self, counts: Float[Tensor, "n P"]) -> None:
        """Take the scale, mean and spread of the input from measured patterns."""
        self.total.copy_(counts.sum(1).mean())
        image = self._log_counts(counts, self.total)
        self.mean.copy_(image.mean(0))
        self.deviation.copy_(image.std(0).clamp_min(0.05))

    def forward(self, counts: Float[Tensor, "n P"]) -> Float[Tensor, "n 1 S S"]:
        """Return standardised images."""
        image = (self._log_counts(counts, self.total) - self.mean) / self.deviation
        return image.reshape(-1, 1, self.size, self.size)


class ImageEncoder(nn.Module):
    """Convolutions, two dense layers, and per head a rotation and a logit.

    A rotation is six numbers, two 3-vectors made orthonormal (the S²×S² parameterisation of
    Shenoy et al. 2025), which has no discontinuity for a network to learn. ``channels``: of the
    first layer; ``heads``: one as published.
    """

    def __init__(self, pixels: Pixels, channels: int, heads: int = 1) -> None:
        super().__init__()
        self.image = PatternImage(pixels)
        self.trunk = nn.Sequential(
            *_convolution(1, channels, 2),
            *_convolution(channels, 2 * channels, 1),
            *_convolution(2 * channels, 2 * channels, 2),
            *_convolution(2 * channels, 4 * channels, 1),
            *_convolution(4 * channels, 4 * channels, 2),
            nn.Flatten(),
        )
        with torch.no_grad():
            inputs = self.trunk(torch.zeros(1, 1, self.image.size, self.image.size)).shape[1]
        self.dense = nn.Sequential(
            nn.Linear(inputs, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, _WIDTH), nn.GELU()
        )
        self.pose = nn.Linear(_WIDTH, 6 * heads)
        self.choice = nn.Linear(_WIDTH, heads)
        # Spread the heads over SO(3) from the start: they would otherwise all begin at one pose.
        nn.init.normal_(self.pose.bias, std=1.0)

    def forward(
        self, image: Float[Tensor, "n 1 S S"]
    ) -> tuple[Float[Tensor, "n H 3 3"], Float[Tensor, "n H"]]:
        """Return a rotation matrix and a logit per head."""
        hidden = self.dense(self.trunk(image))
        six = self.pose(hidden).reshape(len(image), -1, 6)
        first = nn.functional.normalize(six[..., :3], dim=-1)
        second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
        second = nn.functional.normalize(second, dim=-1)
        third = torch.cross(first, second, dim=-1)
        return torch.stack([first, second, third], -2), self.choice(hidden)

    @torch.no_grad()
    def propose(
        self, counts: Float[Tensor, "n P"]
    ) -> tuple[Float[Tensor, "n H 4"], Float[Tensor, "n H"]]:
        """Return hypotheses as quaternions, the most probable first, and their probabilities."""
        matrix, logits = self(self.image(counts))
        probability, order = logits.softmax(-1).sort(-1, descending=True)
        quaternion = rotations.from_matrix(matrix)
        return quaternion.gather(1, order[..., None].expand_as(quaternion)), probability


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    groups = math.gcd(8, outputs)
    return [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(groups, outputs), nn.GELU()]


def _about_beam(pixels: Pixels) -> tuple[Tensor, Tensor, int]:
    """Return rows and columns from the corner of a square centred on the beam, and its width."""
    row, column = pixels.index // pixels.shape[1], pixels.index % pixels.shape[1]
    place = torch.stack([row, column], 1).float()
    plane = torch.cat([pixels.s[:, :2] / pixels.radius.max(), torch.ones(len(pixels), 1)], 1)
    # Rows and columns are linear in s about the beam, which itself may hit no pixel.
    centre = (torch.linalg.pinv(plane) @ place)[2]
    half = float((place - centre).abs().max())
    row, column = (place - torch.round(centre - half)).long().unbind(1)
    return row, column, round(2 * half) + 1
