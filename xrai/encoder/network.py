"""The encoder: from a pattern to a posterior over SO(3) in one pass."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xrai.encoder.cells import Cells
from xrai.encoder.config import EncoderConfig
from xrai.encoder.modes import mean_angle, modes
from xrai.encoder.polar import PolarPattern
from xraisim.core.symmetry import angle_modulo_mate
from xraisim.core.types import Pixels

_TOP_CELLS = 32  # of the posterior, from which the modes are made
_MODE_RADIUS = 1.7  # in spacings of the view directions
_ELSEWHERE_RAD = math.radians(60)  # where the posterior's tail is taken to lie
_KNOTS = 16
_ROWS = (256, 8192)  # patterns at once on a CPU, on a GPU


@dataclass(frozen=True)
class Proposal:
    """What the encoder says of patterns: hypotheses, and how far off the first may be.

    ``heads``: quaternions [n, H, 4], the most probable first; ``probability`` [n, H];
    ``error_deg``: expected error of the first [n], in degrees, modulo the in-plane mate and the
    point group.
    """

    heads: Float[Tensor, "n H 4"]
    probability: Float[Tensor, "n H"]
    error_deg: Float[Tensor, "n"]


class HarmonicConvolution(nn.Module):
    """Circular convolution along the azimuth with a kernel as wide as the circle.

    By the convolution theorem a product per angular harmonic, which costs less than a spatial
    kernel of more than a few taps. On so short a circle the transforms are matrix products too:
    twice as fast as general ones, forwards and backwards.
    """

    forwards: Tensor
    backwards: Tensor

    def __init__(self, inputs: int, outputs: int, azimuths: int) -> None:
        super().__init__()
        spread = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(spread * torch.randn(azimuths // 2 + 1, inputs, outputs, 2))
        forwards, backwards = _transforms(azimuths)
        self.register_buffer("forwards", forwards, persistent=False)
        self.register_buffer("backwards", backwards, persistent=False)

    @property
    def multiply_adds(self) -> int:
        """Those per pattern: both transforms, and four of real numbers for each of complex ones."""
        _, inputs, outputs, _ = self.weight.shape
        return self.forwards.numel() * (inputs + outputs) + 2 * self.weight.numel()

    def forward(self, x: Float[Tensor, "a n i"]) -> Float[Tensor, "a n o"]:
        """Return the convolution at every azimuth."""
        harmonics, size = len(self.weight), x.shape[1]
        parts = (self.forwards @ x.flatten(1)).reshape(2, harmonics, size, -1)
        real, imaginary = self.weight.unbind(-1)
        product = torch.cat(
            [torch.cat([real, imaginary], 2), torch.cat([-imaginary, real], 2)], 1
        )  # complex multiplication as a real matrix, [h, 2i, 2o]
        out = torch.cat([parts[0], parts[1]], 2) @ product
        out = torch.cat(out.chunk(2, 2))
        return (self.backwards @ out.flatten(1)).reshape(len(x), size, -1)


def _transforms(azimuths: int) -> tuple[Float[Tensor, "w a"], Float[Tensor, "a w"]]:
    """Return the Fourier transform of a real circle, real parts first, and its inverse."""
    harmonic = torch.arange(azimuths // 2 + 1)[:, None]
    angle = 2 * math.pi * (harmonic * torch.arange(azimuths) % azimuths) / azimuths
    waves = torch.cat([angle.cos(), -angle.sin()])
    alone = (harmonic == 0) | (2 * harmonic == azimuths)  # the others stand for their negatives too
    share = torch.where(alone, 1.0, 2.0) / azimuths
    return waves, (waves * torch.cat([share, share])).T.contiguous()


class Block(nn.Module):
    """Residual mixing along the azimuth, then among channels."""

    def __init__(self, channels: int, azimuths: int) -> None:
        super().__init__()
        self.along = nn.Sequential(
            nn.LayerNorm(channels), nn.GELU(), HarmonicConvolution(channels, channels, azimuths)
        )
        self.among = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 2 * channels),
            nn.GELU(),
            nn.Linear(2 * channels, channels),
        )

    def forward(self, x: Float[Tensor, "a n c"]) -> Float[Tensor, "a n c"]:
        """Return the mixed channels."""
        x = x + self.along(x)
        return x + self.among(x)


class Encoder(nn.Module):
    """Rings and azimuths in, logits of in-plane angles × view directions out.

    Every layer commutes with circular shifts of the azimuth, so a pattern turned about the beam by
    a multiple of the azimuthal step gets its posterior shifted by as much, untaught. What a pattern
    leaves open shows as a posterior with several modes; the mate of a mode is not told from it, nor
    are the orientations that the point group ``group`` makes equivalent.
    """

    score_knots: Tensor
    error_knots: Tensor

    def __init__(
        self, pixels: Pixels, config: EncoderConfig, group: Float[Tensor, "m 4"] | None = None
    ) -> None:
        super().__init__()
        azimuths, channels = config.azimuths, config.channels
        self.heads = config.heads
        self.pattern = PolarPattern(pixels, config.rings, azimuths)
        self.group = group
        self.cells = Cells(config.directions, azimuths, group)
        self.trunk = nn.Sequential(
            HarmonicConvolution(self.pattern.channels, channels, azimuths),
            *(Block(channels, azimuths) for _ in range(config.blocks)),
            nn.LayerNorm(channels),
        )
        self.views = nn.Linear(channels, config.directions)
        # Until it is calibrated, the posterior's own mean angle is the error.
        self.register_buffer("score_knots", torch.linspace(0, 90, _KNOTS))
        self.register_buffer("error_knots", torch.linspace(0, 90, _KNOTS))

    def forward(self, counts: Float[Tensor, "n P"]) -> Float[Tensor, "n cells"]:
        """Return a logit per cell of SO(3), azimuth-major."""
        circles = self.pattern(counts).transpose(0, 1)
        return self.views(self.trunk(circles).transpose(0, 1)).flatten(1)

    @property
    def multiply_adds(self) -> int:
        """Those of the layers per pattern."""
        layers = [*self.trunk.modules(), self.views]
        linear = sum(one.weight.numel() for one in layers if isinstance(one, nn.Linear))
        harmonic = sum(one.multiply_adds for one in layers if isinstance(one, HarmonicConvolution))
        return self.cells.azimuths * linear + harmonic

    @torch.no_grad()
    def propose(self, counts: Float[Tensor, "n P"]) -> Proposal:
        """Return the modes of the posterior, and the expected error of the first."""
        heads, probability, score = self._all_modes(counts)
        return Proposal(heads, probability, interpolate(score, self.score_knots, self.error_knots))

    @torch.no_grad()
    def likeliest_cells(
        self, counts: Float[Tensor, "n P"], number: int
    ) -> Float[Tensor, "n number 4"]:
        """Return the rotations of the ``number`` cells of the largest posterior, the best first."""
        parts = counts.split(_ROWS[counts.device.type != "cpu"])
        return self.cells.grid[torch.cat([self(part).topk(number, 1).indices for part in parts])]

    @torch.no_grad()
    def calibrate_error(self, counts: Float[Tensor, "n P"], pose: Float[Tensor, "n 4"]) -> None:
        """Learn from patterns of known pose what error a posterior's mean angle stands for.

        The labels are spread over cells, and a network may be too sure of itself; the mean error
        of patterns with a like posterior is neither.
        """
        heads, _, score = self._all_modes(counts)
        error = angle_modulo_mate(heads[:, 0], pose, self.group)
        order = score.argsort()
        groups = torch.tensor_split(order, _KNOTS)
        self.score_knots.copy_(torch.stack([score[g].mean() for g in groups]))
        means = torch.stack([error[g].mean() for g in groups])
        self.error_knots.copy_(means.cummax(0).values)

    def _all_modes(self, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # In parts: a posterior takes more room than its pattern, and small parts stay in the cache.
        parts = [self._modes(part) for part in counts.split(_ROWS[counts.device.type != "cpu"])]
        heads, mass, score = (torch.cat(column) for column in zip(*parts, strict=True))
        return heads, mass, score

    def _modes(self, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the modes, their probabilities, and the posterior's mean angle to the first."""
        logits = self(counts)
        top = logits.topk(min(_TOP_CELLS, logits.shape[1]), 1)
        probability = (top.values - logits.logsumexp(1, keepdim=True)).exp()
        pose = self.cells.grid[top.indices]
        radius = _MODE_RADIUS * self.cells.spacing_rad
        heads, mass = modes(pose, probability, radius, self.heads, self.group)
        angle = mean_angle(pose, probability, heads[:, 0].contiguous(), _ELSEWHERE_RAD, self.group)
        return heads, mass, torch.rad2deg(angle)


def interpolate(
    x: Float[Tensor, "n"], knots: Float[Tensor, "k"], values: Float[Tensor, "k"]
) -> Float[Tensor, "n"]:
    """Return the line through (knots, values) at ``x``, constant beyond its ends."""
    upper = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    lower = upper - 1
    width = (knots[upper] - knots[lower]).clamp_min(1e-6)
    share = ((x - knots[lower]) / width).clamp(0, 1)
    return values[lower] + share * (values[upper] - values[lower])
