"""Settings of a reconstruction, with defaults that need no tuning for a new particle.

Resolutions are given in units of the particle's diameter D: ``reach`` = s·D, the number of
resolution elements across the particle at |s| = reach / D.
"""

from dataclasses import dataclass, field
from typing import Annotated

from xrai.decoder.config import DecoderConfig, VolumeConfig
from xrai.encoder.config import EncoderConfig, EndToEndConfig
from xrai.sources.config import SourceConfig
from xraisim.core.errors import ConfigError
from xraisim.core.settings import (
    Count,
    NotNegative,
    OneOf,
    Positive,
    Range,
    Seed,
    Settings,
    Share,
    Whole,
)
from xraisim.core.symmetry import point_group


@dataclass(frozen=True, kw_only=True)
class StartConfig(Settings, table="start"):
    """The robust start: online annealed pose search at low resolution, a few cheap restarts.

    The posterior over ``rotations`` is tempered by β, which grows by ``growth`` per step of
    ``batch`` patterns to 1, from where a pattern's photons count as ``cold_photons`` of them: the
    same schedule then suits bright and dim patterns. ``buffer``: how many patterns of the stream
    it draws from.

    A start has settled when, at the best poses of some patterns, it leaves less than ``settled`` of
    their variation unexplained (:mod:`xraisim.core.misfit`, median). Otherwise another is made, at
    most ``restarts`` in all, and the likeliest kept.
    """

    reach: Annotated[float, Range(above=0, most=200)] = 5.5
    rotations: Annotated[int, Range(least=1, most=10**7)] = 3000
    batch: Count = 384
    steps: Count = 200
    cold_photons: Positive = 15.0
    growth: Annotated[float, Range(least=1, most=100)] = 1.03
    templates_every: Count = 4
    restarts: Annotated[int, Range(least=1, most=1000)] = 6
    settled: Annotated[float, Range(least=0, most=10)] = 0.06
    buffer: Count = 20000


def _small_encoder() -> EncoderConfig:
    return EncoderConfig(reach=5.5, rings=12, azimuths=24, directions=200, channels=48)


@dataclass(frozen=True, kw_only=True)
class AmortisedConfig(Settings, table="amortised", former={"rest": "tolerance"}):
    """Encoder and implicit decoder that learn together from a random start.

    A step takes ``batch`` patterns with ``candidates`` rotations each, drawn from the encoder's
    posterior, a share ``explore`` of all cells alike, and ``jitter`` (in spacings of the cells)
    within their cells. The likelihood counts to the power β, which grows by ``growth`` per step to
    1 from where a pattern's photons count as ``cold_photons`` of them.

    ``reach``: s·D to which both look; ``buffer``: patterns of the stream that are drawn from. A
    start ends when the last quarter of its steps brought less than ``tolerance`` of what likelihood
    all have brought to a probe (less than 0.3 where patterns tell their cell beyond doubt); at most
    after ``steps``. Where it leaves more than ``settled`` of the
    probe's variation unexplained (:mod:`xraisim.core.misfit`, median), another is made,
    ``restarts`` in all, and the likeliest kept. ``encoder``: the network of this mode, which is
    smaller than that of ``hybrid``, as it learns from nothing.
    """

    reach: Annotated[float, Range(above=0, most=200)] = 5.5
    batch: Count = 256
    candidates: Annotated[int, Range(least=1, most=1000)] = 16
    explore: Share = 0.1
    jitter: Annotated[float, Range(least=0, most=2)] = 0.35
    cold_photons: Positive = 40.0
    growth: Annotated[float, Range(least=1, most=100)] = 1.015
    learning_rate: Annotated[float, Range(above=0, most=1)] = 3e-3
    buffer: Count = 20000
    steps: Count = 2000
    tolerance: Annotated[float, Range(above=0, below=1)] = 0.02
    settled: Annotated[float, Range(least=0, most=10)] = 0.06
    restarts: Annotated[int, Range(least=1, most=1000)] = 3
    encoder: EncoderConfig = field(default_factory=_small_encoder)


_WIDE = {"again_reach": "wide_reach", "again_rotations": "wide_rotations"}


@dataclass(frozen=True, kw_only=True)
class SearchConfig(Settings, table="search", former=_WIDE):
    """Exhaustive search for poses: the best ``hypotheses`` of ``rotations`` survive.

    ``wide_reach`` and ``wide_rotations`` hold where all patterns are searched anew, against a
    volume that has come farther.
    """

    reach: Annotated[float, Range(above=0, most=200)] = 6.0
    rotations: Annotated[int, Range(least=1, most=10**7)] = 6000
    hypotheses: Annotated[int, Range(least=1, most=1000)] = 2
    wide_reach: Annotated[float, Range(above=0, most=200)] = 10.0
    wide_rotations: Annotated[int, Range(least=1, most=10**7)] = 14000


@dataclass(frozen=True, kw_only=True)
class RefineConfig(Settings, table="refine"):
    """Local refinement by likelihood.

    A round takes ``iterations`` damped Newton steps per pattern, or one once a round turns poses by
    less than a tenth of the longest step; every ``mates_every`` rounds the near-symmetric pose is
    tried too, until it is beyond doubt which of the two is right. ``max_step``: longest step, in
    1/(s·D) radians (an edge atom then moves by half a speckle); ``oversampling``: voxels per 1/D of
    the volumes (at least 4 beside a known background); unset, as many as the photons ask for
    (:mod:`xrai.rounds.sampling`).
    """

    iterations: Annotated[int, Range(least=1, most=1000)] = 2
    mates_every: Count = 3
    max_step: Annotated[float, Range(above=0, most=100)] = 1.0
    oversampling: Annotated[float | None, Range(least=2, most=16)] = None


@dataclass(frozen=True, kw_only=True)
class RoundsConfig(Settings, table="rounds", former={"reheats": "global_searches"}):
    """How the stream is taken and how the resolution moves outwards (frequency marching).

    ``patterns``: new ones per round; ``ratio``: how much farther in s each round reaches, as far as
    the half-sets agree; ``keep``: what the sums of earlier rounds still count for once the limit
    has moved, while every pattern is looked at once only; ``final``: rounds in which both halves
    share one volume; ``patience``: rounds without progress after which they begin;
    ``global_searches``: how often at most all patterns are searched anew, where a probe finds
    likelier poses elsewhere for many; ``halves``: two half-sets of the patterns;
    ``read_once_above``: longer data sets are read once.
    """

    patterns: Count = 8192
    ratio: Annotated[float, Range(above=1, most=100)] = 1.085
    keep: Share = 0.5
    final: Annotated[int, Range(least=0, most=1000)] = 2
    patience: Count = 2
    global_searches: Annotated[int, Range(least=0, most=1000)] = 5
    halves: bool = True
    read_once_above: Whole = 200_000


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """A whole reconstruction.

    ``mode``: ``hybrid`` (search and encoder propose, the likelihood decides), ``amortised`` (the
    encoder alone proposes, of a particle without a point group from the first pattern on:
    :mod:`xrai.rounds.amortised_start`) or ``paper`` (encoder and implicit decoder trained end to
    end, as published: :mod:`xrai.rounds.end_to_end`). ``device``: ``auto``, ``cpu`` or ``cuda``;
    ``single_pass``: every pattern is read once and seen at the resolution reached so far;
    ``symmetry``: the particle's point group (C1 … I); ``resolution_angstrom``: how far to go, where
    the detector sees farther (unset: to its edge); ``block``: patterns read at a time;
    ``memory_gib``: photons kept in memory between rounds; ``checkpoint_s``: seconds between
    checkpoints within a round.
    """

    mode: Annotated[str, OneOf("hybrid", "amortised", "paper")] = "hybrid"
    seed: Seed = 0
    device: str = "auto"
    single_pass: bool = False
    symmetry: str = "C1"
    resolution_angstrom: Positive | None = None
    block: Annotated[int, Range(least=1, most=10**7)] = 2048
    memory_gib: Annotated[float, Range(least=0, most=10**6)] = 1.0
    checkpoint_s: NotNegative = 60.0
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    start: StartConfig = field(default_factory=StartConfig)
    amortised: AmortisedConfig = field(default_factory=AmortisedConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    rounds: RoundsConfig = field(default_factory=RoundsConfig)
    volume: VolumeConfig = field(default_factory=VolumeConfig)
    source: SourceConfig = field(default_factory=SourceConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    end_to_end: EndToEndConfig = field(default_factory=EndToEndConfig)

    @property
    def network(self) -> EncoderConfig:
        """The encoder of the mode."""
        return self.amortised.encoder if self.mode == "amortised" else self.encoder

    def check(self) -> None:
        """Refuse settings that exclude each other."""
        point_group(self.symmetry)
        fewest = min(self.search.rotations, self.search.wide_rotations)
        if self.search.hypotheses > fewest:
            raise ConfigError(
                f"search.hypotheses is {self.search.hypotheses}; expected at most as many as the "
                f"{fewest} rotations searched (search.rotations, search.wide_rotations)"
            )
        # The volume of the start ends two voxels beyond its reach, and poses are searched in it.
        farthest = self.start.reach + 2 / self.decoder.oversampling
        if self.search.reach >= farthest:
            raise ConfigError(
                f"search.reach is {self.search.reach:g}, but the start's volume ends at "
                f"{farthest:.3g} with start.reach = {self.start.reach:g}; raise start.reach, or "
                "lower search.reach to it"
            )
        self._check_symmetries()
        if self.mode == "paper" and self.single_pass:
            raise ConfigError(
                'single_pass is true, but mode is "paper", which reads every pattern '
                f"{self.end_to_end.epochs + 1} times (end_to_end.epochs, and for the poses)"
            )

    def _check_symmetries(self) -> None:
        """Refuse two point groups, and one that mode ``paper`` would not hear of."""
        whole, decoder = self.symmetry, self.decoder.symmetry
        if decoder not in ("C1", whole):
            raise ConfigError(
                f"decoder.symmetry is {decoder} and symmetry is {whole}; expected the same, as a "
                "particle has one point group"
            )
        if self.mode == "paper" and whole != decoder:
            raise ConfigError(
                f'symmetry is {whole}, decoder.symmetry is {decoder} and mode is "paper", in which '
                f"the decoder alone has a point group; set decoder.symmetry to {whole} too"
            )
