"""Encodings of the scattering vector: what the implicit volume's network sees of a point.

Points come in resolution elements, s·D, so one set of numbers serves every particle.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xrai.decoder.config import DecoderConfig

_COARSEST, _FINEST = 2.0, 0.4  # cells of the hash grid in 1/D; speckles are 0.5 wide
_PRIMES = (1, 2_654_435_761, 805_459_861)  # Müller et al. 2022, eq. 4
_AMPLITUDE = 1e-2  # of the hash grid's first entries


class FourierFeatures(nn.Module):
    """cos 2π r·s with random r ~ N(0, bandwidth²) per axis: distances inside the particle."""

    even = True
    operations: int
    frequency: Tensor

    def __init__(self, config: DecoderConfig, generator: torch.Generator) -> None:
        super().__init__()
        frequency = config.bandwidth * torch.randn(3, config.features, generator=generator)
        self.register_buffer("frequency", frequency)
        self.operations = 16 * config.features

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n F"]:
        """Return the features of points."""
        return torch.cos(2 * math.pi * points @ self.frequency)


class SineFeatures(nn.Module):
    """The even part of sin(2π r·s + b), with r and b learned: sin b · cos 2π r·s."""

    even = True
    operations: int

    def __init__(self, config: DecoderConfig, generator: torch.Generator) -> None:
        super().__init__()
        frequency = config.bandwidth * torch.randn(3, config.features, generator=generator)
        phase = 2 * math.pi * torch.rand(config.features, generator=generator)
        self.frequency, self.phase = nn.Parameter(frequency), nn.Parameter(phase)
        self.operations = 17 * config.features

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n F"]:
        """Return the features of points."""
        return torch.sin(self.phase) * torch.cos(2 * math.pi * points @ self.frequency)


class HashGrid(nn.Module):
    """Trilinear look-ups in grids from coarse to fine, whose entries share a table each."""

    even = False
    operations: int

    def __init__(self, config: DecoderConfig, generator: torch.Generator) -> None:
        super().__init__()
        per_level = config.features // config.levels
        ratio = (_FINEST / _COARSEST) ** (1 / max(1, config.levels - 1))
        self._cells = [_COARSEST * ratio**level for level in range(config.levels)]
        self._mask = 2**config.table_bits - 1
        first = torch.rand(config.levels, self._mask + 1, per_level, generator=generator)
        self.tables = nn.Parameter(_AMPLITUDE * (2 * first - 1))
        self.operations = config.levels * 8 * (12 + 2 * per_level)

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n F"]:
        """Return the features of points."""
        levels = zip(self._cells, self.tables, strict=True)
        return torch.cat([self._level(points / cell, table) for cell, table in levels], -1)

    def _level(self, position: Tensor, table: Tensor) -> Tensor:
        lower = position.floor()
        fraction = position - lower
        corner = lower.long()
        found = position.new_zeros(len(position), table.shape[1])
        for number in range(8):
            step = [number >> axis & 1 for axis in range(3)]
            entry = torch.zeros_like(corner[:, 0])
            weight = torch.ones_like(fraction[:, 0])
            for axis in range(3):
                entry = entry ^ (corner[:, axis] + step[axis]) * _PRIMES[axis]
                share = fraction[:, axis]
                weight = weight * (share if step[axis] else 1 - share)
            found = found + weight[:, None] * table[entry & self._mask]
        return found


class Sine(nn.Module):
    """The activation of SIREN's hidden layers."""

    def forward(self, x: Tensor) -> Tensor:
        """Return sin x."""
        return torch.sin(x)


def encoding(
    config: DecoderConfig, generator: torch.Generator
) -> FourierFeatures | SineFeatures | HashGrid:
    """Return a fresh encoding of the configured form."""
    forms: dict[str, type[FourierFeatures] | type[SineFeatures] | type[HashGrid]]
    forms = {"fourier": FourierFeatures, "siren": SineFeatures, "hash": HashGrid}
    return forms[config.form](config, generator)


def network(config: DecoderConfig, generator: torch.Generator) -> nn.Sequential:
    """Return the network from features to log V; its first output is near zero."""
    activation = Sine if config.form == "siren" else nn.SiLU
    layers = nn.Sequential(
        nn.Linear(config.features, config.width),
        activation(),
        nn.Linear(config.width, config.width),
        activation(),
        nn.Linear(config.width, 1),
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            # SIREN keeps the variance through its sines with √6 (Sitzmann et al. 2020, §3.2).
            bound = math.sqrt((6 if config.form == "siren" else 1) / layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layers
