"""Iterations of many starts at one resolution, and the passage from a coarse one to a finer one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from baselines.phasing.iterate import step
from baselines.phasing.projections import Modulus, project_support
from baselines.phasing.support import FIRST_THRESHOLD, on_grid, shrinkwrap
from baselines.phasing.transforms import (
    centred_factors,
    fast_grid,
    forward,
    inverse,
    resized,
    to_half,
)
from xraisim.core.dispatch import in_loops
from xraisim.core.errors import ConfigError
from xraisim.core.fourier import crop_or_pad, radius, reciprocal, to_density
from xraisim.core.types import Volume

if TYPE_CHECKING:
    from baselines.phasing.config import PhasingConfig, StageConfig

Progress = Callable[[int], None]
_FEWEST_VOXELS = 8  # of a support: starts of a voxel or two cannot be aligned


@dataclass(frozen=True, kw_only=True)
class Starts:
    """A batch of starts: densities and supports in FFT order, backgrounds (amplitudes) or none."""

    density: Float[Tensor, "B N N N"]
    support: Bool[Tensor, "B N N N"]
    background: Float[Tensor, "B shells"] | None = None
    r_factor: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.density)

    def take(self, which: Sequence[int]) -> "Starts":
        """Return the starts numbered ``which``."""
        index = torch.tensor(which, device=self.density.device)
        return Starts(
            density=self.density[index],
            support=self.support[index],
            background=None if self.background is None else self.background[index],
            r_factor=tuple(self.r_factor[i] for i in which) if self.r_factor else (),
        )

    @classmethod
    def joined(cls, parts: Sequence["Starts"]) -> "Starts":
        """Return several batches as one."""
        levels = [part.background for part in parts if part.background is not None]
        return cls(
            density=torch.cat([part.density for part in parts]),
            support=torch.cat([part.support for part in parts]),
            background=torch.cat(levels) if levels else None,
            r_factor=tuple(value for part in parts for value in part.r_factor),
        )

    @property
    def ranking(self) -> list[int]:
        """Numbers of the starts, lowest R-factor first."""
        return sorted(range(len(self)), key=self.r_factor.__getitem__)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A grid just fine enough for ``s_range``, the measured amplitudes on it, and the settings.

    All stages share the spacing of the intensity, so passing between them is exact. ``size``: of
    the odd centred cube that holds |s| ≤ s_max; ``grid``: of the even one that is transformed.
    ``threshold``: of the shrinkwrap. ``stated``: the support where it is given, in FFT order.
    """

    modulus: Modulus
    grid: int
    size: int
    spacing: float
    s_range: tuple[float, float]
    settings: "StageConfig"
    config: "PhasingConfig"
    threshold: float
    stated: Bool[Tensor, "N N N"] | None = None

    @classmethod
    def at(
        cls,
        intensity: Volume,
        s_range: tuple[float, float],
        settings: "StageConfig",
        config: "PhasingConfig",
        weight: Float[Tensor, "G G G"] | None = None,
        support: Bool[Tensor, "S S S"] | None = None,
    ) -> "Stage":
        """Cut the intensity (and its weight) to ``s_range``, on a grid that transforms fast.

        ``support``: centred, on any grid of the same field, or None: it is found on the way.
        """
        size = 2 * (int(s_range[1] / intensity.spacing) + 1) + 1
        values = crop_or_pad(intensity.values, size)
        cut = Volume(values=values, spacing=intensity.spacing, kind=intensity.kind)
        grid = fast_grid(size + 1)
        trust = None if weight is None else crop_or_pad(weight, size)
        return cls(
            modulus=Modulus.from_intensity(cut, s_range, grid, trust, config.free_beyond),
            grid=grid,
            size=size,
            spacing=intensity.spacing,
            s_range=s_range,
            settings=settings,
            config=config,
            threshold=config.threshold or FIRST_THRESHOLD,
            stated=None if support is None else on_grid(support, grid),
        )

    @property
    def voxel(self) -> float:
        """Voxel size in Å."""
        return reciprocal(self.grid, self.spacing)

    @property
    def _volume_voxels(self) -> int | None:
        volume = self.config.volume_angstrom3
        return None if volume is None else round(volume / self.voxel**3)

    def require_volume(self) -> None:
        """Raise :class:`ConfigError` where the stated volume is no part of the field."""
        voxels, most = self._volume_voxels, self.grid**3
        if voxels is not None and not _FEWEST_VOXELS <= voxels < most:
            raise ConfigError(
                f"volume_angstrom3 is {self.config.volume_angstrom3:g}, which is {voxels:,} voxels "
                f"of {self.voxel:.3g} Å; expected {_FEWEST_VOXELS} or more, and fewer than the "
                f"{most:,} of the field"
            )

    def begin(self, room: Bool[Tensor, "N N N"], draws: Sequence[torch.Generator]) -> Starts:
        """Return random densities in ``room`` (FFT order), one of each generator."""
        random = torch.stack([torch.rand(room.shape, generator=draw) for draw in draws])
        density = self.modulus.scaled(random.to(room.device) * room)
        levels = None
        if self.config.background:
            levels = self.modulus.lowest_background(_FIRST_BACKGROUND).repeat(len(draws), 1)
        return Starts(density=density, support=room.repeat(len(draws), 1, 1, 1), background=levels)

    def from_coarser(self, coarse: "Stage", starts: Starts) -> Starts:
        """Return the starts on this stage's grid, their supports drawn anew."""
        density = resized(starts.density, self.grid, coarse.size)
        levels = None
        if starts.background is not None:
            levels = self.modulus.lowest_background(_FIRST_BACKGROUND).repeat(len(starts), 1)
            shared = min(levels.shape[1], starts.background.shape[1]) - 3
            levels[:, :shared] = starts.background[:, :shared]
        return Starts(
            density=self.modulus.scaled(density),
            support=self._support(density, self.settings.blur_voxels),
            background=levels,
        )

    def iterate(self, starts: Starts, progress: Progress, halt: Event) -> Starts:
        """Return the starts after this stage's schedule, or where it was when ``halt`` was set.

        On the CPU each start runs on a thread of its own, where its arrays stay in the cache; on a
        GPU all are transformed together.
        """
        if not in_loops(starts.density.device):
            return self._iterate(starts, progress, halt)
        with one_thread_each() as pool:
            parts = [starts.take([number]) for number in range(len(starts))]
            done = pool.map(lambda part: self._iterate(part, progress, halt), parts)
            return Starts.joined(list(done))

    def _iterate(self, starts: Starts, progress: Progress, halt: Event) -> Starts:
        config, settings = self.config, self.settings
        steps, every = settings.steps, settings.support_every
        floor = 0.0 if config.positivity else -torch.inf
        x, support = starts.density.clone(), starts.support
        levels = None if starts.background is None else starts.background.clone()

        def project(density: Tensor) -> Tensor:
            return self.modulus(density, levels)

        for number, name in enumerate(steps, start=1):
            projected = project(x)
            x = step(name, x, projected, support, config.beta, floor, project)
            # The first density is noise, and the last support must stand still to be reached.
            if number % every == 0 and every < number <= settings.last_support:
                blur = max(1.0, settings.blur_voxels * (1 - number / len(steps)))
                support = self._support(projected, blur)
            progress(len(starts))
            if halt.is_set():
                break
        x = project_support(project(x), support, floor)
        return Starts(
            density=x,
            support=support,
            background=levels,
            r_factor=tuple(self.modulus.r_factors(x, levels)),
        )

    def _support(
        self, density: Float[Tensor, "B N N N"], blur_voxels: float
    ) -> Bool[Tensor, "B N N N"]:
        if self.stated is not None:
            return self.stated.expand(len(density), -1, -1, -1)
        return shrinkwrap(density, blur_voxels, self.threshold, self._volume_voxels)

    def twin_overlaps(self, starts: Starts) -> list[float]:
        """Return how far each start is its own inverse: 1 where both hands lie on each other.

        The mean phase agreement of F with its conjugate at the best shift, up to half the edge (a
        shift in whole voxels is good enough there).
        """
        mask = to_half(radius(self.size, self.spacing) <= self.s_range[1] / 2, self.grid)
        mask = mask.to(starts.density.device)
        values = []
        for one in starts.density:
            factors = forward(one[None])
            phase = factors / factors.abs().clamp_min(1e-30) * mask
            agreement = inverse(phase * phase).max() / inverse(phase.abs() + 0j).max()
            values.append(float(agreement))
        return values

    def factors(self, starts: Starts) -> list[Complex[Tensor, "G G G"]]:
        """Return the structure factors of each start on the centred cube of ``size``."""
        return [centred_factors(one[None], self.size, self.voxel)[0] for one in starts.density]

    def density(self, factors: Complex[Tensor, "G G G"], grid: int) -> Volume:
        """Return the density of structure factors up to the edge, on a cube of ``grid`` voxels."""
        inside = radius(self.size, self.spacing).to(factors.device) <= self.s_range[1]
        values = to_density(crop_or_pad(factors * inside, grid), self.spacing).cpu()
        return Volume(values=values, spacing=reciprocal(grid, self.spacing), kind="density")


_FIRST_BACKGROUND = 0.05  # quantile: without background, a twentieth of a shell's speckles is lower


@contextmanager
def one_thread_each() -> Iterator[ThreadPoolExecutor]:
    """Yield as many threads as torch used before, each of which transforms on itself alone.

    Threads of one transform wait for each other, which costs most where a core is busy otherwise.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Said in every thread too: MKL keeps the number per thread, and starts helpers otherwise.
        with ThreadPoolExecutor(before, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
