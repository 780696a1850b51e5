"""Iterations at one resolution, and the passage from a coarse one to a finer one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from baselines.phasing.config import PhasingConfig, StageConfig
from baselines.phasing.iterate import STEPS
from baselines.phasing.projections import Modulus, project_support
from baselines.phasing.support import ball, shrinkwrap
from xraisim.core.align import align_density
from xraisim.core.fourier import (
    crop_or_pad,
    good_grid,
    radius,
    reciprocal,
    to_density,
    to_structure_factors,
)
from xraisim.core.types import Volume

_ALIGN_ROUNDS = 2
Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One start: density and support [G, G, G] in FFT order, and its R-factor."""

    density: Float[Tensor, "G G G"]
    support: Bool[Tensor, "G G G"]
    r_factor: float


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A grid just fine enough for ``s_range``, the measured amplitudes on it, and the settings.

    All stages share the spacing of the intensity, so passing between them is exact.
    """

    modulus: Modulus
    grid: int
    spacing: float
    s_range: tuple[float, float]
    settings: StageConfig
    beta: float
    threshold: float

    @classmethod
    def at(
        cls,
        intensity: Volume,
        s_range: tuple[float, float],
        settings: StageConfig,
        config: PhasingConfig,
    ) -> "Stage":
        """Cut the intensity to ``s_range``, on a grid that transforms fast."""
        grid = good_grid(2 * (int(s_range[1] / intensity.spacing) + 1) + 1)
        values = crop_or_pad(intensity.values, grid)
        cut = Volume(values=values, spacing=intensity.spacing, kind=intensity.kind)
        return cls(
            modulus=Modulus.from_intensity(cut, s_range),
            grid=grid,
            spacing=intensity.spacing,
            s_range=s_range,
            settings=settings,
            beta=config.beta,
            threshold=config.threshold,
        )

    @property
    def voxel(self) -> float:
        """Voxel size in Å."""
        return reciprocal(self.grid, self.spacing)

    def start(self, diameter: float, draw: torch.Generator, progress: Progress) -> Trial:
        """Phase from a random density in the ball that holds the particle."""
        device = self.modulus.amplitude.device
        room = ball(self.grid, self.voxel, diameter).to(device)
        random = torch.rand(room.shape, generator=draw).to(device)
        return self._iterate(self.modulus.scaled(random * room), room, progress)

    def go_on(self, coarse: "Stage", trial: Trial, progress: Progress) -> Trial:
        """Phase from where a coarser stage ended."""
        centred = torch.fft.fftshift(trial.density)
        factors = crop_or_pad(to_structure_factors(centred, coarse.voxel), self.grid)
        density = torch.fft.ifftshift(to_density(factors, self.spacing))
        support = shrinkwrap(density, self.settings.blur_voxels, self.threshold)
        return self._iterate(self.modulus.scaled(density), support, progress)

    def _iterate(self, density: Tensor, support: Tensor, progress: Progress) -> Trial:
        steps, every = self.settings.steps, self.settings.support_every
        closing = len(steps)
        while closing and steps[closing - 1] == "er":
            closing -= 1
        for number, name in enumerate(steps, start=1):
            projected = self.modulus(density)
            density = STEPS[name](density, projected, support, self.beta)
            # The first density is noise, and the last support must stand still to be reached.
            if number % every == 0 and every < number <= closing:
                blur = max(1.0, self.settings.blur_voxels * (1 - number / len(steps)))
                support = shrinkwrap(projected, blur, self.threshold)
            progress(1)
        density = project_support(self.modulus(density), support)
        return Trial(density=density, support=support, r_factor=self.modulus.r_factor(density))

    def align(self, trials: list[Trial]) -> list[Complex[Tensor, "G G G"]]:
        """Return F of each trial in the hand and position of the first, then of their mean."""
        factors = [to_structure_factors(torch.fft.fftshift(t.density), self.voxel) for t in trials]
        reference = factors[0]
        for _ in range(_ALIGN_ROUNDS):
            factors = [
                align_density(f, reference, self.spacing, self.s_range).structure_factors
                for f in factors
            ]
            reference = torch.stack(factors).mean(0)
        return factors

    def density(self, factors: Complex[Tensor, "G G G"], grid: int) -> Volume:
        """Return the density of structure factors up to the edge, on a cube of ``grid`` voxels."""
        inside = radius(self.grid, self.spacing).to(factors.device) <= self.s_range[1]
        values = to_density(crop_or_pad(factors * inside, grid), self.spacing).cpu()
        return Volume(values=values, spacing=reciprocal(grid, self.spacing), kind="density")
