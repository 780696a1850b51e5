"""Settings of EMC: the levels it goes through, restarts, annealing, blocks of patterns."""

from dataclasses import dataclass
from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from baselines.emc.orientations import OrientationGrid
from xraisim.core.settings import (
    Count,
    NotNegative,
    OneOf,
    Positive,
    Range,
    Seed,
    Settings,
    Whole,
    require,
)
from xraisim.core.symmetry import point_group

_Information = Annotated[float, Range(above=0, most=1)]


@dataclass(frozen=True, kw_only=True)
class Level(Settings, table="levels[]", former={"speckles": "reach"}):
    """One stage of frequency marching: a resolution, a grid of orientations, an annealing schedule.

    ``reach``: s_max·D, in speckles 1/D of a particle of diameter D. ``rotations``: size of the grid
    of orientations; a finer one than 45·reach³ is of little use. ``search``:
    ``"global"``, or ``"local"`` around the directions that a pattern's posterior held before.
    ``patterns``: the first so many with photons are used, 0 for all. ``iterations``: the most that
    are made. β is set in every iteration such that the mean information Σ P log(P/π) is a share of
    log ``rotations``, rising from ``information`` [0] to [1] over ``ramp`` iterations, at most 1.
    """

    reach: Annotated[float, Range(above=0, most=500)]
    rotations: Annotated[int, Range(least=1, most=10**8)]
    iterations: Annotated[int, Range(least=1, most=10**6)]
    patterns: Whole = 0
    information: tuple[_Information, _Information] = (0.95, 0.95)
    ramp: Count = 1
    search: Annotated[str, OneOf("global", "local")] = "global"

    def check(self) -> None:
        """Refuse information that falls."""
        ascending = len(self.information) == 2 and self.information[0] <= self.information[1]
        require(ascending, "information", self.information, "two ascending shares")

    def information_at(self, iteration: int) -> float:
        """Return the share of information of an iteration of this level, counted from 0."""
        low, high = self.information
        return low + (high - low) * min(1.0, iteration / max(1, self.ramp - 1))


def _searched(before: Level | None, level: Level) -> bool:
    """Say whether every pattern of a level took part in the one before it."""
    return before is not None and (not before.patterns or 0 < level.patterns <= before.patterns)


# Random starts are decided at low resolution, by a few patterns; the levels above only refine.
_START = Level(
    reach=4.9,
    rotations=3_000,
    iterations=20,
    patterns=3_000,
    information=(0.36, 0.9),
    ramp=15,
)
DEFAULT_LEVELS = (
    _START,
    Level(reach=7.0, rotations=16_000, iterations=4, information=(0.85, 0.95), ramp=3),
    Level(reach=10.0, rotations=60_000, iterations=3, search="local"),
    Level(reach=17.0, rotations=300_000, iterations=3, search="local"),
    Level(reach=17.0, rotations=2_000_000, iterations=2, search="local"),
)


@dataclass(frozen=True, kw_only=True)
class EmcConfig(Settings):
    """Everything that determines a reconstruction besides the patterns.

    ``restarts``: random starts at the first level, of which the likeliest goes on.
    ``start_information``: of the very first iteration, which should follow the random speckles
    closely: colder, the volume would melt to its radial mean, and most starts would then freeze
    into the same wrong one.
    ``d_min_angstrom``: go no further than this spacing. ``oversampling``: voxels per 1/D.
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
    restarts: Annotated[int, Range(least=1, most=1000)] = 4
    start_information: Annotated[float, Range(above=0, below=1)] = 0.6
    d_min_angstrom: Positive | None = None
    oversampling: Annotated[float, Range(least=2, most=16)] = 3.2
    prior: Annotated[float, Range(least=0, below=1)] = 0.02
    threshold: Annotated[float, Range(above=0, below=0.1)] = 1e-6
    tolerance: NotNegative = 2e-5
    fluence_classes: Annotated[int, Range(least=1, most=1000)] = 4
    classes: Annotated[int, Range(least=1, most=1000)] = 1
    junk: Annotated[int, Range(least=0, most=1000)] = 0
    halves: bool = False
    symmetry: str = "C1"
    engine: Annotated[str, OneOf("auto", "harmonic", "dense")] = "auto"
    rings_per_speckle: Annotated[float, Range(least=2, most=100)] = 4.0
    band: Annotated[float, Range(above=0, most=10)] = 1.0
    block_patterns: Annotated[int, Range(least=1, most=10**7)] = 1024
    cache_gib: Annotated[float, Range(least=0, most=10**6)] = 2.0
    seed: Seed = 0
    device: str = "cpu"

    def check(self) -> None:
        """Refuse levels that do not follow from one another."""
        require(len(self.levels) >= 1, "levels", self.levels, "at least one")
        reach = [level.reach for level in self.levels]
        require(reach == sorted(reach), "levels", reach, "a reach that never falls")
        for before, level in zip((None, *self.levels), self.levels, strict=False):
            require(level.search == "global" or _searched(before, level), "search", level.search,
                     'a "global" level first, of no fewer patterns')  # fmt: skip
        last = self.levels[-1].patterns
        require(last == 0, "patterns of the last level", last, "0, for all of them")
        require(not self.halves or len(self.levels) > 1, "halves", self.halves,
                 f"false with {len(self.levels)} of levels: they are made above it")  # fmt: skip
        fewest = min(level.rotations for level in self.levels)
        found = len(self.group) == 1 or len(OrientationGrid.of(fewest, self.group)) > 0
        require(found, "rotations", fewest, f"more, as symmetry is {self.symmetry}: none of them "
                 f"lies in the one of {len(self.group)} equal parts that is searched")  # fmt: skip

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
