"""The implicit neural volume V(s): positive and Friedel-symmetric by construction."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xrai.config import DecoderConfig
from xraisim.core.merge import intensity_grid, radius_in_voxels
from xraisim.core.types import Pixels, Volume


class ImplicitDecoder(nn.Module):
    """log V(s) = radial profile of the data + MLP(cos 2π r·s).

    The feature frequencies r are drawn once, N(0, (bandwidth·D)²) per axis: distances inside the
    particle, as in its autocorrelation. Cosines are even, so V(−s) = V(s) exactly; the exponential
    makes V > 0.
    """

    features: Tensor
    base: Tensor
    inside: Tensor

    def __init__(
        self,
        config: DecoderConfig,
        diameter_angstrom: float,
        s_max: float,
        profile: Float[Tensor, "shells"],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.grid, self.spacing = intensity_grid(s_max, diameter_angstrom, config.oversampling)
        normal = torch.randn(3, config.features, generator=generator)
        frequency = config.bandwidth * diameter_angstrom * normal
        radius = radius_in_voxels(self.grid)
        shell = radius.round().long().clamp_max(len(profile) - 1)
        half = torch.arange(self.grid**3) <= self.grid**3 // 2
        inside = torch.nonzero(half & (radius.reshape(-1) <= self.grid // 2))[:, 0]
        # Beyond the pixels nothing is measured; the corners of the cube are never evaluated.
        self.register_buffer("inside", inside)
        self.register_buffer("base", profile.clamp_min(1e-12).log()[shell])
        self.register_buffer("features", self._features(inside, frequency))
        self.network = _network(config, generator)

    def _features(self, voxel: Tensor, frequency: Tensor) -> Tensor:
        axes = torch.stack(torch.unravel_index(voxel, (self.grid,) * 3), -1) - self.grid // 2
        return torch.cos(2 * math.pi * (axes * self.spacing) @ frequency)

    def forward(self) -> Float[Tensor, "G G G"]:
        """Return the intensity on the grid, by evaluating half a ball and mirroring it."""
        size = self.grid**3
        residual = self.network(self.features)[:, 0]
        flat = residual.new_zeros(size)
        flat = flat.index_copy(0, self.inside, residual)
        flat = flat.index_copy(0, size - 1 - self.inside, residual)
        return torch.exp(self.base + flat.reshape_as(self.base))

    @torch.no_grad()
    def volume(self) -> Volume:
        """Return the current intensity without gradients."""
        return Volume(values=self(), spacing=self.spacing, kind="intensity")


def _network(config: DecoderConfig, generator: torch.Generator) -> nn.Sequential:
    network = nn.Sequential(
        nn.Linear(config.features, config.width),
        nn.SiLU(),
        nn.Linear(config.width, config.width),
        nn.SiLU(),
        nn.Linear(config.width, 1),
    )
    for layer in network:
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return network


def radial_profile(
    mean_counts: Float[Tensor, "P"], pixels: Pixels, spacing: float, shells: int
) -> Float[Tensor, "shells"]:
    """Return the mean intensity per shell (electrons²) of the mean pattern, background removed.

    Shells without pixels take the lowest value found, halved: the beamstop's and the corners'.
    """
    shell = (pixels.radius / spacing).round().long().clamp_max(shells - 1)
    signal = (mean_counts - pixels.background).clamp_min(0)
    top = signal.new_zeros(shells).index_add_(0, shell, signal)
    bottom = signal.new_zeros(shells).index_add_(0, shell, pixels.gain)
    profile = top / bottom.clamp_min(1e-30)
    lowest = profile[profile > 0].min() if bool((profile > 0).any()) else profile.new_tensor(1.0)
    return profile.clamp_min(0.5 * lowest)
