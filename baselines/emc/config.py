"""Settings of EMC: the levels it marches through, restarts, annealing, blocks of patterns."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from xraisim.core.errors import ConfigError
from xraisim.core.symmetry import point_group

_ENGINES = ("auto", "harmonic", "dense")


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"EMC setting {name} is {value}; expected {expected}")


@dataclass(frozen=True, kw_only=True)
class Level:
    """One stage of frequency marching: a resolution, a grid of orientations, an annealing schedule.

    ``speckles``: reach s_max·D, in speckles 1/D of a particle of diameter D. ``rotations``: size of
    the grid of orientations; a finer one than 45·speckles³ is of little use. ``search``:
    ``"global"``, or ``"local"`` around the directions that a pattern's posterior held before.
    ``patterns``: the first so many patterns are used, 0 for all. ``iterations``: the most that are
    made. β is set in every iteration such that the mean information Σ P log(P/π) is a share of log
    ``rotations``, rising from ``information`` [0] to [1] over ``ramp`` iterations, but at most 1.
    """

    speckles: float
    rotations: int
    iterations: int
    patterns: int = 0
    information: tuple[float, float] = (0.95, 0.95)
    ramp: int = 1
    search: str = "global"

    def __post_init__(self) -> None:
        _require(self.speckles > 0, "speckles", self.speckles, "above 0")
        _require(self.rotations >= 1, "rotations", self.rotations, "at least 1")
        _require(self.iterations >= 1, "iterations", self.iterations, "at least 1")
        _require(self.patterns >= 0, "patterns", self.patterns, "0 (all) or more")
        _require(self.ramp >= 1, "ramp", self.ramp, "at least 1")
        low, high = self.information
        _require(0 < low <= high <= 1, "information", (low, high), "two ascending shares in 0 … 1")
        _require(self.search in ("global", "local"), "search", self.search, '"global" or "local"')

    def information_at(self, iteration: int) -> float:
        """Return the share of information of an iteration of this level, counted from 0."""
        low, high = self.information
        return low + (high - low) * min(1.0, iteration / max(1, self.ramp - 1))


def _searched(before: Level | None, level: Level) -> bool:
    """Say whether every pattern of a level took part in the one before it."""
    return before is not None and (not before.patterns or 0 < level.patterns <= before.patterns)


# Random starts are decided at low resolution, by a few patterns; the levels above only refine.
_START = Level(
    speckles=4.9,
    rotations=3_000,
    iterations=20,
    patterns=3_000,
    information=(0.36, 0.9),
    ramp=15,
)
DEFAULT_LEVELS = (
    _START,
    Level(speckles=7.0, rotations=16_000, iterations=4, information=(0.85, 0.95), ramp=3),
    Level(speckles=10.0, rotations=60_000, iterations=3, search="local"),
    Level(speckles=17.0, rotations=300_000, iterations=3, search="local"),
    Level(speckles=17.0, rotations=2_000_000, iterations=2, search="local"),
)


@dataclass(frozen=True, kw_only=True)
class EmcConfig:
    """Everything that determines a reconstruction besides the patterns.

    ``restarts``: random starts at the first level, of which the likeliest goes on.
    ``start_information``: of the very first iteration, which should follow the random speckles
    closely: colder, the volume would melt to its radial mean, and most starts would then freeze
    into the same wrong one.
    ``d_min_angstrom``: march no further than this spacing. ``oversampling``: voxels per 1/D.
    ``prior``: floor of the merge, in median exposures. ``threshold``: posterior, relative to a
    pattern's best, below which an orientation is dropped. ``tolerance``: gain of log-likelihood per
    photon (nats), at the likeliest orientations, below which a level is left. ``fluence_classes``:
    where there is background, templates are made at this many fluences. ``classes``: different
    particles that are told apart, and ``junk``: so many more that look the same from everywhere,
    which take up blanks and balls of as many sizes. ``halves``: independent reconstructions of
    every other pattern above the first level. ``symmetry``: point group of the particle.
    ``engine``: ``"harmonic"``, ``"dense"``, or ``"auto"`` for what is faster at each level;
    ``rings_per_speckle`` and ``band`` (of harmonics, in 2πsD) are the harmonic one's sampling, the
    rings as far as pixels fill them. ``block_patterns``: patterns read at once; ``cache_gib``:
    memory for patterns in the engine's form, beyond which they are read again every iteration.
    """

    levels: tuple[Level, ...] = DEFAULT_LEVELS
    restarts: int = 4
    start_information: float = 0.6
    d_min_angstrom: float | None = None
    oversampling: float = 3.2
    prior: float = 0.02
    threshold: float = 1e-6
    tolerance: float = 2e-5
    fluence_classes: int = 4
    classes: int = 1
    junk: int = 0
    halves: bool = False
    symmetry: str = "C1"
    engine: str = "auto"
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
        for before, level in zip((None, *self.levels), self.levels, strict=False):
            _require(level.search == "global" or _searched(before, level), "search", level.search,
                     'a "global" level first, of no fewer patterns')  # fmt: skip
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
        _require(self.classes >= 1, "classes", self.classes, "at least 1")
        _require(self.junk >= 0, "junk", self.junk, "0 or more")
        _require(self.engine in _ENGINES, "engine", self.engine, f"one of {', '.join(_ENGINES)}")
        _require(self.rings_per_speckle >= 2, "rings_per_speckle", self.rings_per_speckle, "≥ 2")
        _require(self.band > 0, "band", self.band, "above 0")
        _require(
            0 < self.start_information < 1, "start_information", self.start_information, "0 … 1"
        )
        point_group(self.symmetry)

    @property
    def group(self) -> Float[Tensor, "m 4"]:
        """The rotations of the point group as quaternions."""
        return point_group(self.symmetry)

    @property
    def isotropic(self) -> list[bool]:
        """Which models look the same from everywhere: those for junk."""
        return [False] * self.classes + [True] * self.junk

    @property
    def iterations(self) -> int:
        """Iterations of all starts and levels at most, which is what ``progress`` counts to."""
        later = sum(level.iterations for level in self.levels[1:])
        return self.restarts * self.levels[0].iterations + later
