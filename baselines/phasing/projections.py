"""The two projections of phase retrieval, for batches of densities as in :mod:`.transforms`."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int, Shaped
from torch import Tensor

from baselines.phasing.kernels import projections as kernels
from baselines.phasing.transforms import forward, inverse, to_half
from xraisim.core.dispatch import in_loops
from xraisim.core.fourier import radius
from xraisim.core.radial import shell_numbers, sum_by_shell
from xraisim.core.types import Volume

_TINY = 1e-30  # keeps 0/0 out of the phase of a structure factor that is exactly zero


@dataclass(frozen=True, kw_only=True)
class Modulus:
    """Projection onto the densities with the measured amplitudes.

    ``amplitude`` [N, N, N//2 + 1]: √I where it is known, zero elsewhere. ``weight``: how far F is
    taken there: 1 where the amplitude is known; 0 where F stays as it is (behind the beamstop,
    masked, beyond the edge); between for what was measured poorly. ``shell``: |s| in voxels,
    rounded, and one more number beyond the edge.
    """

    amplitude: Float[Tensor, "N N H"]
    weight: Float[Tensor, "N N H"]
    shell: Int[Tensor, "N N H"]

    @classmethod
    def from_intensity(
        cls,
        intensity: Volume,
        s_range: tuple[float, float],
        grid: int,
        weight: Float[Tensor, "G G G"] | None = None,
        free_beyond: bool = True,
    ) -> "Modulus":
        """Take √I within ``s_range`` (Å⁻¹); negative intensities count as zero.

        A transform of the density without the voxel's volume is meant, so amplitudes keep the unit
        of the intensity. ``weight`` (0 … 1) says how far each voxel of the intensity is trusted.
        Unless F is left free beyond the edge it is zero there; a density cut off so rings, which
        positivity and a support contradict.
        """
        values = intensity.values
        r = radius(intensity.grid, intensity.spacing, values.device)
        trust = ((r >= s_range[0]) & (r <= s_range[1])).float()
        trust = trust if weight is None else trust * weight.to(trust)
        beyond, outside = r > s_range[1], 0 if free_beyond else 1
        last = int(s_range[1] / intensity.spacing) + 2
        shell = shell_numbers(intensity.grid, values.device)
        return cls(
            amplitude=to_half(values.clamp_min(0).sqrt() * (trust > 0), grid),
            weight=to_half(torch.where(beyond, outside, trust), grid, fill=outside),
            shell=to_half(torch.where(beyond, last, shell).to(torch.int16), grid, fill=last),
        )

    def __call__(
        self,
        density: Float[Tensor, "B N N N"],
        background: Float[Tensor, "B shells"] | None = None,
    ) -> Float[Tensor, "B N N N"]:
        """Return the nearest densities with the measured amplitudes: two transforms.

        ``background`` is an amplitude b, constant in each shell, that adds to F incoherently:
        √(|F|² + b²) is what was measured. F and b are scaled alike, and b becomes its mean over the
        shell, in place (as far as the idea is Ayyer et al. 2019's, without its memory of b).
        """
        factors = forward(density)
        if background is None:
            impose(factors, self.amplitude, self.weight)
        else:
            impose_with_background(factors, self.amplitude, self.weight, self.shell, background)
        return inverse(factors)

    def lowest_background(self, fraction: float) -> Float[Tensor, "shells"]:
        """Return the amplitude below which ``fraction`` of each shell's known voxels lie."""
        known = self.weight > 0
        levels = self.amplitude.new_zeros(int(self.shell.max()) + 1)
        for number in range(len(levels) - 1):
            inside = self.amplitude[known & (self.shell == number)]
            if len(inside):
                levels[number] = inside.quantile(fraction) if len(inside) < 2**24 else inside.min()
        return levels

    def scaled(self, density: Float[Tensor, "B N N N"]) -> Float[Tensor, "B N N N"]:
        """Return the densities scaled to the power of the measured amplitudes."""
        held = self.weight * (self.amplitude > 0)
        found = (forward(density).abs() * held).flatten(1).norm(dim=1)
        target = (self.amplitude * held).norm()
        return density * (target / found.clamp_min(_TINY))[:, None, None, None]

    def r_factors(
        self,
        density: Float[Tensor, "B N N N"],
        background: Float[Tensor, "B shells"] | None = None,
    ) -> list[float]:
        """Return Σ| |F| − √I | / Σ √I over the known amplitudes, F scaled to fit them.

        Sums are weighted. With a background, √(|F|² + b²) stands for |F| and is not scaled.
        """
        levels = [None] * len(density) if background is None else list(background)
        sums = [self.misfit(one, level) for one, level in zip(density, levels, strict=True)]
        return [float(error.sum() / total.sum()) for error, total in sums]

    def misfit(
        self, density: Float[Tensor, "N N N"], background: Float[Tensor, "shells"] | None = None
    ) -> tuple[Float[Tensor, "shells"], Float[Tensor, "shells"]]:
        """Return Σ| |F| − √I | and Σ √I over each shell's known amplitudes, as :meth:`r_factors`.

        The last shell stands for all beyond the edge, where nothing is known.
        """
        weight = (self.weight * (self.amplitude > 0)).double()
        target = self.amplitude.double()
        found = forward(density[None])[0].abs().double()
        if background is None:
            scale = (weight * found * target).sum() / (weight * found**2).sum().clamp_min(_TINY)
            found = scale * found
        else:
            found = torch.hypot(found, background.double()[self.shell.long()])
        return self._by_shell(weight * (found - target).abs()), self._by_shell(weight * target)

    def _by_shell(self, values: Float[Tensor, "N N H"]) -> Float[Tensor, "shells"]:
        return sum_by_shell(self.shell.long().flatten(), values.flatten())

    def without(self, held_out: Bool[Tensor, "N N H"]) -> "Modulus":
        """Return the projection that leaves F free where ``held_out``."""
        return replace(self, weight=torch.where(held_out, 0, self.weight))


def impose(
    factors: Complex[Tensor, "B N N H"],
    amplitude: Float[Tensor, "N N H"],
    weight: Float[Tensor, "N N H"],
) -> None:
    """F ← F (1 + w (√I/|F| − 1)), in place."""
    if not in_loops(factors.device):
        impose_reference(factors, amplitude, weight)
        return
    for one in factors:
        kernels.impose(_pairs(one), _flat(amplitude), _flat(weight))


def impose_reference(factors: Tensor, amplitude: Tensor, weight: Tensor) -> None:
    """Plain torch form of :func:`impose`, any device."""
    # |F| from real and imaginary part: several times faster than abs() of a complex tensor.
    power = factors.real.square().addcmul_(factors.imag, factors.imag).add_(_TINY)
    factors.mul_(power.rsqrt_().mul_(amplitude).sub_(1).mul_(weight).add_(1))


def impose_with_background(
    factors: Complex[Tensor, "B N N H"],
    amplitude: Float[Tensor, "N N H"],
    weight: Float[Tensor, "N N H"],
    shell: Int[Tensor, "N N H"],
    background: Float[Tensor, "B shells"],
) -> None:
    """F ← F (1 + w (ρ − 1)) and b ← b ⟨ρ⟩ over each shell, ρ = √I/√(|F|² + b²), in place."""
    if not in_loops(factors.device):
        impose_with_background_reference(factors, amplitude, weight, shell, background)
        return
    held = _flat(amplitude), _flat(weight), _flat(shell)
    for one, level in zip(factors, background, strict=True):
        sums = np.zeros((2, len(level)))
        kernels.impose_with_background(_pairs(one), *held, level.numpy(), sums)
        ratio = np.divide(sums[0], sums[1], out=np.ones(len(level)), where=sums[1] > 0)
        level.mul_(torch.from_numpy(ratio).float())


def impose_with_background_reference(
    factors: Tensor, amplitude: Tensor, weight: Tensor, shell: Tensor, background: Tensor
) -> None:
    """Plain torch form of :func:`impose_with_background`, any device."""
    number, shells = shell.long(), background.shape[1]
    total = sum_by_shell(number.flatten(), weight.flatten(), shells)
    for one, level in zip(factors, background, strict=True):
        b = level[number]
        ratio = amplitude / (one.real.square() + one.imag.square() + b.square() + _TINY).sqrt()
        one.mul_(1 + weight * (ratio - 1))
        sums = sum_by_shell(number.flatten(), (weight * ratio).flatten(), shells)
        level.mul_(torch.where(total > 0, sums / total.clamp_min(_TINY), 1))


def project_support(
    density: Float[Tensor, "B N N N"], support: Bool[Tensor, "B N N N"], floor: float = 0.0
) -> Float[Tensor, "B N N N"]:
    """Return the nearest densities that are at least ``floor`` in ``support`` and zero outside.

    ``floor`` is 0 with positivity, −∞ without.
    """
    return torch.where(support, density.clamp_min(floor), 0)


def _pairs(factors: Complex[Tensor, "N N H"]) -> Float[np.ndarray, "_"]:
    return torch.view_as_real(factors).view(-1).numpy()


def _flat(values: Tensor) -> Shaped[np.ndarray, "_"]:
    return values.reshape(-1).numpy()
