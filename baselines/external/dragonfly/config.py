"""Settings of a run of Dragonfly."""

from dataclasses import dataclass

from xraisim.core.errors import ConfigError


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"Dragonfly setting {name} is {value}; expected {expected}")


@dataclass(frozen=True, kw_only=True)
class DragonflyConfig:
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

    num_div: int = 6
    iterations: int = 50
    need_scaling: bool = True
    beta_factor: float = 1.0
    beta_jump: float = 2.0
    beta_period: int = 10
    d_min_angstrom: float | None = None
    oversampling: float = 3.2
    time_limit_s: float = 7200.0
    threads: int = 0
    programs: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.num_div >= 1, "num_div", self.num_div, "at least 1")
        _require(self.iterations >= 1, "iterations", self.iterations, "at least 1")
        _require(self.beta_factor > 0, "beta_factor", self.beta_factor, "above 0")
        _require(self.beta_jump >= 1, "beta_jump", self.beta_jump, "at least 1")
        _require(self.beta_period >= 1, "beta_period", self.beta_period, "at least 1")
        d_min = self.d_min_angstrom
        _require(d_min is None or d_min > 0, "d_min_angstrom", d_min, "above 0")
        _require(self.oversampling >= 2, "oversampling", self.oversampling, "at least 2")
        _require(self.time_limit_s > 0, "time_limit_s", self.time_limit_s, "above 0")
        _require(self.threads >= 0, "threads", self.threads, "0 (one per core) or more")

    @property
    def rotations(self) -> int:
        """Orientations of the grid: the 600-cell, its edges divided ``num_div`` times."""
        return 10 * (5 * self.num_div**3 + self.num_div)
