"""Settings of EMC: the levels it marches through, restarts, annealing, blocks of patterns."""

from dataclasses import dataclass

from xraisim.core.errors import ConfigError


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"EMC setting {name} is {value}; expected {expected}")


@dataclass(frozen=True, kw_only=True)
class Level:
    """One stage of frequency marching: a resolution, a rotation grid and an annealing schedule.

    ``speckles``: reach s_max·D, in speckles 1/D of a particle of diameter D; the finest useful grid
    has about 45·speckles³ rotations. ``rotations``: size of the grid. ``patterns``: the first so
    many patterns are used, 0 for all. ``iterations``: the most that are made. β starts at ``beta``
    and grows by ``growth`` per iteration to ``beta_end``.
    """

    speckles: float
    rotations: int
    iterations: int
    patterns: int = 0
    beta: float = 1.0
    growth: float = 1.0
    beta_end: float = 1.0
    search: str = "global"

    def __post_init__(self) -> None:
        _require(self.speckles > 0, "speckles", self.speckles, "above 0")
        _require(self.rotations >= 1, "rotations", self.rotations, "at least 1")
        _require(self.iterations >= 1, "iterations", self.iterations, "at least 1")
        _require(self.patterns >= 0, "patterns", self.patterns, "0 (all) or more")
        _require(self.growth >= 1, "growth", self.growth, "at least 1")
        ordered = 0 < self.beta <= self.beta_end <= 1
        _require(ordered, "beta", self.beta, f"above 0, up to beta_end = {self.beta_end} ≤ 1")

    def beta_at(self, iteration: int) -> float:
        """Return β of an iteration of this level, counted from 0."""
        return float(min(self.beta_end, self.beta * self.growth**iteration))


# Random starts are decided at low resolution, by a few patterns; the levels above only refine. β
# starts where the random speckles still tell orientations apart: colder, the volume would first
# melt to its radial mean, and most starts then freeze into the same wrong one.
_START = Level(
    speckles=4.9,
    rotations=3_000,
    iterations=20,
    patterns=3_000,
    beta=0.02,
    growth=1.15,
    beta_end=0.15,
)
DEFAULT_LEVELS = (
    _START,
    Level(speckles=6.4, rotations=8_000, iterations=4, beta=0.15, growth=1.5, beta_end=0.5),
    Level(speckles=8.2, rotations=16_000, iterations=3, beta=0.2, growth=1.5, beta_end=0.5),
    Level(speckles=10.6, rotations=24_000, iterations=2, beta=0.3, growth=1.5, beta_end=0.5),
    Level(speckles=17.0, rotations=24_000, iterations=2, beta=0.5, beta_end=0.5),
)


@dataclass(frozen=True, kw_only=True)
class EmcConfig:
    """Everything that determines a reconstruction besides the patterns.

    ``restarts``: random starts at the first level, of which the likeliest goes on.
    ``d_min_angstrom``: march no further than this spacing. ``oversampling``: voxels per 1/D.
    ``prior``: floor of the merge, in median exposures. ``threshold``: posterior, relative to a
    pattern's best, below which a rotation is dropped. ``tolerance``: gain of log-likelihood per
    photon (nats) below which a level is left. ``fluence_classes``: where there is background,
    templates are made at this many fluences per block. ``block_patterns``: patterns handled at
    once; ``cache_gib``: memory for unpacked patterns, beyond which they are read again every
    iteration.
    """

    levels: tuple[Level, ...] = DEFAULT_LEVELS
    restarts: int = 4
    d_min_angstrom: float | None = None
    oversampling: float = 3.2
    prior: float = 0.02
    threshold: float = 1e-6
    tolerance: float = 2e-5
    fluence_classes: int = 4
    classes: int = 1
    junk: bool = False
    halves: bool = False
    engine: str = "harmonic"
    rings_per_speckle: float = 4.0
    band: float = 1.0
    block_patterns: int = 1024
    cache_gib: float = 2.0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        _require(len(self.levels) >= 1, "levels", self.levels, "at least one")
        _require(self.restarts >= 1, "restarts", self.restarts, "at least 1")
        reach = [level.speckles for level in self.levels]
        _require(reach == sorted(reach), "levels", reach, "speckles that never fall")
        last = self.levels[-1].patterns
        _require(last == 0, "patterns of the last level", last, "0, for all of them")
        d_min = self.d_min_angstrom
        _require(d_min is None or d_min > 0, "d_min_angstrom", d_min, "above 0")
        _require(self.oversampling >= 2, "oversampling", self.oversampling, "at least 2")
        _require(0 <= self.prior < 1, "prior", self.prior, "0 … 1")
        _require(0 < self.threshold < 0.1, "threshold", self.threshold, "0 … 0.1")
        _require(self.tolerance >= 0, "tolerance", self.tolerance, "0 or more")
        _require(self.fluence_classes >= 1, "fluence_classes", self.fluence_classes, "at least 1")
        _require(self.block_patterns >= 1, "block_patterns", self.block_patterns, "at least 1")
        _require(self.cache_gib >= 0, "cache_gib", self.cache_gib, "0 or more")

    @property
    def isotropic(self) -> list[bool]:
        """Which models look the same from everywhere: those for junk."""
        return [False] * self.classes + [True] * self.junk

    @property
    def iterations(self) -> int:
        """Iterations of all starts and levels at most, which is what ``progress`` counts to."""
        later = sum(level.iterations for level in self.levels[1:])
        return self.restarts * self.levels[0].iterations + later
