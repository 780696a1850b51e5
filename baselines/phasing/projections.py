"""The two projections of phase retrieval.

Densities here are float32 cubes in FFT order (r = 0 at voxel 0), and structure factors the
non-redundant half that a real-to-complex transform gives. The transform's exponent is negative
where the project's is positive: that exchanges a density and its inverse, between which intensities
cannot tell anyway.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xraisim.core.fourier import radius
from xraisim.core.types import Volume

_TINY = 1e-20  # keeps 0/0 out of the phase of a structure factor that is exactly zero


def to_half(volume: Tensor) -> Tensor:
    """Return the half [G, G, G//2 + 1] of a centred cube in the order of a real transform."""
    grid = volume.shape[0]
    return torch.fft.ifftshift(volume)[..., : grid // 2 + 1].contiguous()


@dataclass(frozen=True, kw_only=True)
class Modulus:
    """Projection onto the densities with the measured amplitudes.

    ``amplitude`` and ``known`` [G, G, G//2 + 1]: √I, zero elsewhere, and where it was measured.
    ``free``: where nothing is known (behind the beamstop) and F stays as it is. Beyond the edge F
    is set to zero.
    """

    amplitude: Float[Tensor, "G G H"]
    known: Bool[Tensor, "G G H"]
    free: Bool[Tensor, "G G H"]

    @classmethod
    def from_intensity(cls, intensity: Volume, s_range: tuple[float, float]) -> "Modulus":
        """Take √I within ``s_range`` (Å⁻¹); negative intensities count as zero.

        A transform of the density without the voxel's volume is meant, so amplitudes keep the unit
        of the intensity.
        """
        r = radius(intensity.grid, intensity.spacing).to(intensity.values.device)
        known = (r >= s_range[0]) & (r <= s_range[1])
        return cls(
            amplitude=to_half(intensity.values.clamp_min(0).sqrt() * known),
            known=to_half(known),
            free=to_half(r < s_range[0]),
        )

    def __call__(self, density: Float[Tensor, "G G G"]) -> Float[Tensor, "G G G"]:
        """Return the nearest density with the measured amplitudes: two transforms."""
        factors = torch.fft.rfftn(density)
        # |F| from real and imaginary part: several times faster than abs() of a complex tensor.
        power = factors.real.square().addcmul_(factors.imag, factors.imag)
        scale = power.clamp_min_(_TINY).rsqrt_().mul_(self.amplitude)
        scale.masked_fill_(self.free, 1.0)
        return torch.fft.irfftn(factors.mul_(scale), s=density.shape)

    def scaled(self, density: Float[Tensor, "G G G"]) -> Float[Tensor, "G G G"]:
        """Return the density scaled to the power of the measured amplitudes."""
        power = torch.linalg.vector_norm(torch.fft.rfftn(density)[self.known])
        target = torch.linalg.vector_norm(self.amplitude[self.known])
        return density * (target / power.clamp_min(_TINY))

    def r_factor(self, density: Float[Tensor, "G G G"]) -> float:
        """Return Σ| |F| − √I | / Σ √I over the measured amplitudes, F scaled to fit them."""
        found = torch.fft.rfftn(density).abs()[self.known].double()
        target = self.amplitude[self.known].double()
        scale = (found @ target) / (found @ found).clamp_min(_TINY)
        return float((scale * found - target).abs().sum() / target.sum())


def project_support(
    density: Float[Tensor, "G G G"], support: Bool[Tensor, "G G G"]
) -> Float[Tensor, "G G G"]:
    """Return the nearest density that is positive and zero outside ``support``."""
    return density.clamp_min(0).mul_(support)
