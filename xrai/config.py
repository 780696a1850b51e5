"""Settings of a reconstruction, with defaults that need no tuning for a new particle.

Resolutions are given in units of the particle's diameter D: ``reach`` = s·D, the number of
resolution elements across the particle at |s| = reach / D.
"""

from dataclasses import dataclass, field

from xraisim.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The implicit volume: log V(s) = radial profile + network of Fourier features.

    ``bandwidth``: standard deviation of the feature frequencies per axis, in particle diameters;
    ``oversampling``: grid voxels per 1/D when the network is evaluated on a grid.
    """

    features: int = 64
    width: int = 128
    bandwidth: float = 0.175
    oversampling: float = 2.5
    learning_rate: float = 3e-3


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """The robust start: online annealed pose search at low resolution, a few cheap restarts.

    The posterior over ``rotations`` is tempered by β, which grows from ``beta`` by ``growth`` per
    step of ``batch`` patterns. ``buffer``: how many patterns of the stream it draws from.
    """

    reach: float = 5.5
    rotations: int = 3000
    batch: int = 384
    steps: int = 200
    beta: float = 0.003
    growth: float = 1.03
    templates_every: int = 4
    restarts: int = 2
    buffer: int = 20000


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Exhaustive search for the first poses: the best ``hypotheses`` of ``rotations`` survive."""

    reach: float = 6.0
    rotations: int = 6000
    hypotheses: int = 3


@dataclass(frozen=True, kw_only=True)
class RefineConfig:
    """Local refinement by likelihood while the resolution marches outwards.

    Each epoch reaches ``ratio`` farther in s, takes ``iterations`` damped Newton steps per pattern
    and merges all patterns. Every ``mates_every`` epochs the near-symmetric pose is tried too.
    ``max_step``: longest step, in 1/(s·D) radians (an edge atom then moves by half a speckle);
    ``oversampling``: voxels per 1/D; ``prior``: floor of the merge in median exposures;
    ``final_epochs``: epochs at the full resolution.
    """

    ratio: float = 1.085
    iterations: int = 2
    mates_every: int = 3
    final_epochs: int = 2
    max_step: float = 1.0
    oversampling: float = 2.7
    prior: float = 0.02


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The amortised pose network: ``heads`` hypotheses from one look at a pattern.

    Trained for ``steps`` batches, a fraction ``synthetic`` of each drawn from the current volume
    at known poses, the rest measured patterns with their searched poses.
    """

    reach: float = 6.0
    heads: int = 8
    channels: int = 16
    steps: int = 250
    batch: int = 192
    synthetic: float = 0.75
    learning_rate: float = 2e-3


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A whole reconstruction.

    ``device``: ``auto``, ``cpu`` or ``cuda``; ``single_pass``: every pattern is read once and seen
    at the resolution reached so far, instead of all patterns in each epoch; ``block``: patterns
    read at a time; ``memory_gib``: photons kept in memory between epochs.
    """

    seed: int = 0
    device: str = "auto"
    single_pass: bool = False
    block: int = 2048
    memory_gib: float = 1.0
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    start: StartConfig = field(default_factory=StartConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)

    def __post_init__(self) -> None:
        checks = {
            "block": self.block >= 1,
            "start.batch": self.start.batch >= 1,
            "start.steps": self.start.steps >= 1,
            "start.restarts": self.start.restarts >= 1,
            "start.rotations": self.start.rotations >= 1,
            "start.growth": self.start.growth >= 1,
            "search.hypotheses": 1 <= self.search.hypotheses <= self.search.rotations,
            "refine.ratio": self.refine.ratio > 1,
            "refine.iterations": self.refine.iterations >= 1,
            "refine.final_epochs": self.refine.final_epochs >= 1,
            "refine.mates_every": self.refine.mates_every >= 1,
            "encoder.heads": self.encoder.heads >= 1,
            "encoder.synthetic": 0 <= self.encoder.synthetic <= 1,
        }
        for name, fine in checks.items():
            if not fine:
                raise ConfigError(f"{name} is out of range; see `xrai train --help` and the docs")
