"""The implicit volume V(s): positive, Friedel-symmetric, of a point group by construction."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xrai.decoder.config import DecoderConfig
from xrai.decoder.encodings import encoding, network
from xraisim.core import rotations
from xraisim.core.fourier import radius
from xraisim.core.merge import intensity_grid
from xraisim.core.radial import interpolated, sum_by_shell
from xraisim.core.sampling import slice_volume
from xraisim.core.symmetry import point_group
from xraisim.core.types import Pixels, Volume

_LOOK_UP_OPERATIONS = 60  # of a trilinear look-up and its share of the adjoint
_MATES_AT_ONCE = 2**17  # points whose mates are encoded at once, which bounds the memory
_AT_ONCE = 2**18  # voxels that pass through the network at once, for the same reason


class ImplicitDecoder(nn.Module):
    """log V(s) = radial profile of the data + network(mean over mates g of encoding(g s)).

    The mates are those of the point group and of Friedel's law, so V(g s) = V(−s) = V(s) exactly
    (up to rounding); the exponential makes V > 0. ``profile``: intensity (electrons²) per shell of
    one grid voxel.
    """

    profile: Tensor
    mates: Tensor
    inside: Tensor
    base: Tensor
    _features: Tensor | None

    def __init__(
        self,
        config: DecoderConfig,
        diameter_angstrom: float,
        s_max: float,
        profile: Float[Tensor, "shells"],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.diameter_angstrom = diameter_angstrom
        self.grid, self.spacing = intensity_grid(s_max, diameter_angstrom, config.oversampling)
        self.encoding, self.network = encoding(config, generator), network(config, generator)
        self._mixed = config.precision == "bfloat16"
        turns = rotations.to_matrix(point_group(config.symmetry)).float()
        self.register_buffer("mates", turns if self.encoding.even else torch.cat([turns, -turns]))
        self.register_buffer("profile", profile.clamp_min(1e-12).log())
        half = torch.arange(self.grid**3) <= self.grid**3 // 2
        distance = radius(self.grid, 1.0).reshape(-1)
        # Beyond the pixels nothing is measured; the corners of the cube are never evaluated.
        inside = torch.nonzero(half & (distance <= self.grid // 2))[:, 0]
        self.register_buffer("inside", inside)
        self.register_buffer("base", self._base(distance).reshape((self.grid,) * 3))
        # What no training changes is encoded once.
        fixed = not list(self.encoding.parameters())
        self.register_buffer("_features", self._encode(self._voxels()) if fixed else None)

    def values(self) -> Float[Tensor, "G G G"]:
        """Return the intensity on the grid, by evaluating half a ball and mirroring it."""
        features = self._encode(self._voxels()) if self._features is None else self._features
        residual = torch.cat([self._residual(part) for part in features.split(_AT_ONCE)])
        size = self.grid**3
        flat = residual.new_zeros(size)
        flat = flat.index_copy(0, self.inside, residual)
        flat = flat.index_copy(0, size - 1 - self.inside, residual)
        return torch.exp(self.base + flat.reshape_as(self.base))

    def at(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """Return the intensity at points (Å⁻¹), of any radius."""
        residual = self._residual(self._encode(points))
        return torch.exp(self._base(points.norm(dim=-1) / self.spacing) + residual)

    def forward(
        self, rotation: Float[Tensor, "n 3 3"], s: Float[Tensor, "P 3"]
    ) -> Float[Tensor, "n P"]:
        """Return V(Rᵀ s), looked up on the grid or evaluated at the points as costs less."""
        if self.cheaper_on_grid(len(rotation) * len(s)):
            return slice_volume(self.values(), rotation, s, self.spacing)
        points = torch.einsum("nji,pj->npi", rotation, s)
        return self.at(points.reshape(-1, 3)).reshape(points.shape[:2])

    def cheaper_on_grid(self, samples: int) -> bool:
        """Return whether ``samples`` values cost fewer operations through the grid.

        The grid costs the network at half the voxels of a ball and a look-up per sample; points
        cost the network per sample.
        """
        layers = [layer for layer in self.network if isinstance(layer, nn.Linear)]
        dense = sum(2 * layer.in_features * layer.out_features for layer in layers)
        encoded = len(self.mates) * self.encoding.operations
        per_voxel = dense if self._features is not None else dense + encoded
        on_grid = len(self.inside) * per_voxel + samples * _LOOK_UP_OPERATIONS
        return on_grid <= samples * (dense + encoded)

    @torch.no_grad()
    def volume(self) -> Volume:
        """Return the current intensity without gradients."""
        return Volume(values=self.values(), spacing=self.spacing, kind="intensity")

    def _residual(self, features: Float[Tensor, "n F"]) -> Float[Tensor, "n"]:
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self._mixed):
            return self.network(features)[:, 0].float()

    def _voxels(self) -> Float[Tensor, "m 3"]:
        axes = torch.stack(torch.unravel_index(self.inside, (self.grid,) * 3), -1)
        return (axes - self.grid // 2) * self.spacing

    def _encode(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n F"]:
        """Return the mean encoding of every point's mates: what no mate can tell apart."""
        scaled = points * self.diameter_angstrom
        if len(self.mates) == 1:
            return self.encoding(scaled)
        at_once = self.mates.split(max(1, _MATES_AT_ONCE // len(points)))
        total = sum((self._encoded(mates, scaled) for mates in at_once), scaled.new_zeros(()))
        return total / len(self.mates)

    def _encoded(self, mates: Float[Tensor, "g 3 3"], scaled: Float[Tensor, "n 3"]) -> Tensor:
        """Return the encodings of g·s, summed over some mates g."""
        turned = torch.einsum("gij,nj->gni", mates, scaled).reshape(-1, 3)
        return self.encoding(turned).reshape(len(mates), len(scaled), -1).sum(0)

    def _base(self, radius: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Return the logarithm of the profile at radii in voxels; it ends as it is at the edge."""
        return interpolated(self.profile, radius)


def radial_profile(
    mean_counts: Float[Tensor, "P"], pixels: Pixels, spacing: float, shells: int
) -> Float[Tensor, "shells"]:
    """Return the mean intensity per shell (electrons²) of the mean pattern, background removed.

    Shells without pixels take the lowest value found, halved: the beamstop's and the corners'.
    """
    shell = (pixels.radius / spacing).round().long().clamp_max(shells - 1)
    signal = mean_counts - pixels.background
    exposure = sum_by_shell(shell, pixels.gain, shells)
    profile = sum_by_shell(shell, signal, shells) / exposure.clamp_min(1e-30)
    lowest = profile[profile > 0].min() if bool((profile > 0).any()) else profile.new_tensor(1.0)
    return profile.clamp_min(0.5 * lowest)
