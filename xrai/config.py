"""Settings of a reconstruction, with defaults that need no tuning for a new particle.

Resolutions are given in units of the particle's diameter D: ``reach`` = s·D, the number of
resolution elements across the particle at |s| = reach / D.
"""

from dataclasses import dataclass, field

from xrai.decoder.config import BandLimitConfig, DecoderConfig
from xrai.encoder.config import EncoderConfig, EndToEndConfig
from xrai.sources.config import SourceConfig
from xraisim.core.errors import ConfigError
from xraisim.core.symmetry import point_group

MODES = ("hybrid", "paper")


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """The robust start: online annealed pose search at low resolution, a few cheap restarts.

    The posterior over ``rotations`` is tempered by β, which grows by ``growth`` per step of
    ``batch`` patterns to 1, from where a pattern's photons count as ``cold_photons`` of them: the
    same schedule then suits bright and dim patterns. ``buffer``: how many patterns of the stream
    it draws from.

    A start has settled when, at the best poses of some patterns, it leaves less than ``settled`` of
    their variation unexplained (:mod:`xraisim.core.misfit`, median). Otherwise another is made, at
    most ``restarts`` in all, and the likeliest kept.
    """

    reach: float = 5.5
    rotations: int = 3000
    batch: int = 384
    steps: int = 200
    cold_photons: float = 15.0
    growth: float = 1.03
    templates_every: int = 4
    restarts: int = 6
    settled: float = 0.06
    buffer: int = 20000


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Exhaustive search for poses: the best ``hypotheses`` of ``rotations`` survive.

    ``again_reach`` and ``again_rotations`` hold where all patterns are searched again, against a
    volume that has come farther.
    """

    reach: float = 6.0
    rotations: int = 6000
    hypotheses: int = 2
    again_reach: float = 10.0
    again_rotations: int = 14000


@dataclass(frozen=True, kw_only=True)
class RefineConfig:
    """Local refinement by likelihood.

    A round takes ``iterations`` damped Newton steps per pattern, or one once a round turns poses by
    less than a tenth of the longest step; every ``mates_every`` rounds the near-symmetric pose is
    tried too, until it is beyond doubt which of the two is right. ``max_step``: longest step, in
    1/(s·D) radians (an edge atom then moves by half a speckle); ``oversampling``: voxels per 1/D of
    the volumes.
    """

    iterations: int = 2
    mates_every: int = 3
    max_step: float = 1.0
    oversampling: float = 2.7


@dataclass(frozen=True, kw_only=True)
class RoundsConfig:
    """How the stream is taken and how the resolution marches outwards.

    ``patterns``: new ones per round; ``ratio``: how much farther in s each round reaches, as far as
    the half-sets agree; ``keep``: what the sums of earlier rounds still count for once the limit
    has moved, while every pattern is looked at once only; ``final``: rounds in which both halves
    share one volume; ``patience``: rounds without progress after which they begin; ``reheats``: how
    often at most all patterns are searched again from nothing, where a probe finds likelier poses
    elsewhere for many; ``halves``: two half-sets of the patterns; ``read_once_above``: longer data
    sets are read once.
    """

    patterns: int = 8192
    ratio: float = 1.085
    keep: float = 0.5
    final: int = 2
    patience: int = 2
    reheats: int = 5
    halves: bool = True
    read_once_above: int = 200_000


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A whole reconstruction.

    ``mode``: ``hybrid`` (search and encoder propose, the likelihood decides) or ``paper`` (encoder
    and implicit decoder trained end to end, as published: :mod:`xrai.end_to_end`). ``device``:
    ``auto``, ``cpu`` or ``cuda``; ``single_pass``: every pattern is read once and seen at the
    resolution reached so far; ``symmetry``: the particle's point group (C1 … I); ``block``:
    patterns read at a time; ``memory_gib``: photons kept in memory between rounds;
    ``checkpoint_s``: seconds between checkpoints within a round.
    """

    mode: str = "hybrid"
    seed: int = 0
    device: str = "auto"
    single_pass: bool = False
    symmetry: str = "C1"
    block: int = 2048
    memory_gib: float = 1.0
    checkpoint_s: float = 60.0
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    start: StartConfig = field(default_factory=StartConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    rounds: RoundsConfig = field(default_factory=RoundsConfig)
    volume: BandLimitConfig = field(default_factory=BandLimitConfig)
    source: SourceConfig = field(default_factory=SourceConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    end_to_end: EndToEndConfig = field(default_factory=EndToEndConfig)

    def __post_init__(self) -> None:
        point_group(self.symmetry)
        if self.mode not in MODES:
            raise ConfigError(f"mode is {self.mode!r}; expected {' or '.join(MODES)}")
        checks = {
            "block": self.block >= 1,
            "start.batch": self.start.batch >= 1,
            "start.steps": self.start.steps >= 1,
            "start.restarts": self.start.restarts >= 1,
            "start.rotations": self.start.rotations >= 1,
            "start.growth": self.start.growth >= 1,
            "start.cold_photons": self.start.cold_photons > 0,
            "search.hypotheses": 1 <= self.search.hypotheses <= self.search.rotations,
            "refine.iterations": self.refine.iterations >= 1,
            "refine.mates_every": self.refine.mates_every >= 1,
            "rounds.patterns": self.rounds.patterns >= 1,
            "rounds.ratio": self.rounds.ratio > 1,
            "rounds.keep": 0 <= self.rounds.keep <= 1,
            "rounds.final": self.rounds.final >= 0,
            "rounds.patience": self.rounds.patience >= 1,
            "rounds.reheats": self.rounds.reheats >= 0,
        }
        for name, fine in checks.items():
            if not fine:
                raise ConfigError(f"{name} is out of range; see `xrai train --help` and the docs")
