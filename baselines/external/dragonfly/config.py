"""Settings of a run of Dragonfly."""

from dataclasses import dataclass
from typing import Annotated

from xraisim.core.settings import Count, Positive, Range, Seed, Settings


@dataclass(frozen=True, kw_only=True)
class DragonflyConfig(Settings):
    """Everything that determines a run besides the patterns.

    ``num_div``: its rotation grid, 10·(5n³ + n) orientations, good to a radius of n speckles.
    ``iterations``: how many are made; Dragonfly does not stop by itself. ``need_scaling``: find the
    fluence of every pattern. β starts where Dragonfly puts it, by photons per pattern, times
    ``beta_factor``; every ``beta_period`` iterations it is multiplied by ``beta_jump``, up to 1.
    ``d_min_angstrom``: pixels beyond this spacing are left out. ``oversampling``: voxels per 1/D of
    a particle of diameter D. ``time_limit_s``: after it, the last whole iteration is the result.
    ``threads``: 0 for one per core. ``programs``: directory of its executables, else that of
    XRAI_DRAGONFLY_BIN or PATH.
    """

    num_div: Annotated[int, Range(least=1, most=200)] = 6
    iterations: Annotated[int, Range(least=1, most=10**6)] = 50
    need_scaling: bool = True
    beta_factor: Positive = 1.0
    beta_jump: Annotated[float, Range(least=1, most=10**6)] = 2.0
    beta_period: Count = 10
    d_min_angstrom: Positive | None = None
    oversampling: Annotated[float, Range(least=2, most=16)] = 3.2
    time_limit_s: Positive = 7200.0
    threads: Annotated[int, Range(least=0, most=4096)] = 0
    programs: str = ""
    seed: Seed = 0

    @property
    def rotations(self) -> int:
        """Orientations of the grid: the 600-cell, its edges divided ``num_div`` times."""
        return 10 * (5 * self.num_div**3 + self.num_div)
