"""A pattern on the (ring, azimuth) cylinder, where a turn about the beam is a circular shift."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xraisim.core.types import Pixels

_CHANNELS = 2  # shares of the photons, and their logarithms
_LEAST_COVER = 0.1  # cells with less of their ring's mean exposure count as masked
_LIGHTEST = 0.03  # weights below it are dropped


class PolarPattern(nn.Module):
    """Detector pixels → rates on rings of |s| and azimuths over half a turn, standardised per ring.

    Friedel's law and the nearly flat Ewald sphere make a pattern repeat after half a turn, so
    opposite pixels share a cell: that halves the cost, and fills gaps from the opposite side. Gain
    (solid angle, polarisation) and background are taken out, and counts are scaled to a common
    total, so that neither fluence nor azimuth shows in the mean; cells without exposure are zero.
    """

    entries: Tensor
    weights: Tensor
    evened: Tensor
    background: Tensor
    radius: Tensor
    seen: Tensor
    exposure: Tensor
    total: Tensor
    limit: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, pixels: Pixels, rings: int, azimuths: int) -> None:
        super().__init__()
        self.azimuths = azimuths
        radius, weight = cell_weights(pixels, rings, azimuths)
        sparse = weight.to_sparse().coalesce()
        self._shape = tuple(weight.shape)
        exposure = (weight @ pixels.gain).reshape(rings, azimuths)
        level = exposure.sum(1, keepdim=True) / (exposure > 0).sum(1, keepdim=True).clamp_min(1)
        seen = exposure > _LEAST_COVER * level
        for name, values in {
            "entries": sparse.indices(),
            "weights": sparse.values(),
            "evened": torch.where(seen, level / exposure.clamp_min(1e-30), 0.0).reshape(-1, 1),
            "background": (weight @ pixels.background)[:, None],
            "radius": radius,
            "seen": seen.float(),
        }.items():
            self.register_buffer(name, values, persistent=False)
        # Kept with the weights: they tell one detector and mask from another.
        self.register_buffer("exposure", exposure)
        self.register_buffer("limit", torch.tensor(math.inf))
        self.register_buffer("total", torch.tensor(1.0))
        self.register_buffer("mean", torch.zeros(_CHANNELS, rings, 1))
        self.register_buffer("deviation", torch.ones(_CHANNELS, rings, 1))

    @property
    def inputs(self) -> int:
        """How many pixels it looks at, the innermost."""
        return int(self._shape[1])

    @property
    def channels(self) -> int:
        """Values per azimuth."""
        return _CHANNELS * len(self.radius)

    @property
    def calibration(self) -> tuple[Tensor, ...]:
        """What :meth:`calibrate` sets."""
        return self.limit, self.total, self.mean, self.deviation

    def _visible(self) -> Float[Tensor, "r a"]:
        return self.seen * (self.radius <= self.limit)[:, None]

    def _cells(self, counts: Float[Tensor, "n P"]) -> Float[Tensor, "cells n"]:
        """Return signal photons per cell, as if it had its ring's mean exposure; unseen ones 0."""
        weight = torch.sparse_coo_tensor(
            self.entries, self.weights, self._shape, is_coalesced=True, check_invariants=False
        )
        cells = torch.sparse.mm(weight, counts.T) - self.background
        return cells * (self.evened * self._visible().reshape(-1, 1))

    def _rates(self, cells: Float[Tensor, "cells n"], total: Tensor) -> Float[Tensor, "n 2 r a"]:
        share = (cells * (total / cells.sum(0).clamp_min(1))).clamp_min(0).T
        both = torch.stack([share, torch.log1p(share)], 1)
        return both.reshape(-1, _CHANNELS, len(self.radius), self.azimuths)

    def calibrate(self, counts: Float[Tensor, "n P"], limit: float = math.inf) -> None:
        """Take the scale, and the mean and spread of every ring, from measured patterns.

        Rings beyond ``limit`` (Å⁻¹) are not looked at.
        """
        self.limit.fill_(limit)
        cells = self._cells(counts)
        self.total.copy_(cells.sum(0).clamp_min(1).mean())
        visible = self._visible()
        rates = self._rates(cells, self.total)
        number = visible.sum(1, keepdim=True).clamp_min(1)
        mean = (rates * visible).mean(0).sum(-1, keepdim=True) / number
        variance = ((rates - mean).square() * visible).mean(0).sum(-1, keepdim=True) / number
        self.mean.copy_(mean)
        self.deviation.copy_(variance.sqrt().clamp_min(1e-3))

    def forward(self, counts: Float[Tensor, "n P"]) -> Float[Tensor, "n a c"]:
        """Return standardised rates, azimuths before channels."""
        rates = self._rates(self._cells(counts), self.total)
        standard = (rates - self.mean) / self.deviation * self._visible()
        return standard.reshape(len(counts), self.channels, self.azimuths).transpose(1, 2)


def cell_weights(
    pixels: Pixels, rings: int, azimuths: int
) -> tuple[Float[Tensor, "r"], Float[Tensor, "cells P"]]:
    """Return the rings' |s|, and how much of each pixel's counts each cell (ring-major) takes.

    Tents in |s| and in arc length, as wide as the cells or the pixels, whichever is wider: fine
    pixels are binned, coarse ones interpolated.
    """
    radius, pitch = pixels.radius, pixel_pitch(pixels)
    first, last = float(radius[0]), float(radius[-1])
    step = (last - first) / rings
    ring = first + step * (torch.arange(rings) + 0.5)
    across = 1 - (radius - ring[:, None]).abs() / max(step, pitch)
    width = math.pi / azimuths
    azimuth = torch.atan2(pixels.s[:, 1], pixels.s[:, 0])
    turn = (azimuth - width * torch.arange(azimuths)[:, None]) / math.pi
    apart = (turn - turn.round()).abs() * math.pi
    along = 1 - apart / (pitch / ring).clamp_min(width)[:, None, None]
    weight = across.clamp_min(0)[:, None] * along.clamp_min(0)
    weight = torch.where(weight > _LIGHTEST, weight, 0.0)
    return ring, weight.reshape(rings * azimuths, len(pixels))


def pixel_pitch(pixels: Pixels) -> float:
    """Return the distance in Å⁻¹ between neighbours in a detector row (median)."""
    order = pixels.index.argsort()
    index, s = pixels.index[order], pixels.s[order]
    adjacent = (index.diff() == 1) & (index[1:] % pixels.shape[1] > 0)
    distance = (s[1:] - s[:-1]).norm(dim=1)[adjacent]
    return float(distance.median()) if len(distance) else 0.0
