"""Settings of the classification: resolution, classes, annealing, restarts."""

from dataclasses import dataclass
from typing import Annotated

from xraisim.core.settings import NotNegative, Positive, Range, Seed, Settings


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig(Settings, former={"speckles": "reach"}):
    """Everything that determines a classification besides the patterns.

    ``classes``: of patterns with signal; blanks are one more. ``reach``: s_max·D, in speckles 1/D
    of a particle of diameter D; ``d_min_angstrom``: no further than this spacing.
    ``faintest``: patterns with less than this share of a bright pattern's signal are blank.
    β starts at ``beta`` and grows by ``growth`` per iteration to 1; at most ``iterations`` are made
    by each of ``restarts`` random starts, until the log-likelihood per photon gains less than
    ``tolerance`` (nats). ``prior_photons``: pull of every point of an average to its ring's mean,
    in photons; ``smoothing``: standard deviation of the kernel that averages are smoothed with, in
    1/D. ``brightness``: a class also has a distribution of fluences. The rest is as in
    :class:`baselines.emc.EmcConfig`.
    """

    classes: Annotated[int, Range(least=1, most=10000)] = 16
    reach: Annotated[float, Range(above=0, most=500)] = 8.0
    d_min_angstrom: Positive | None = None
    faintest: Annotated[float, Range(above=0, below=1)] = 0.05
    iterations: Annotated[int, Range(least=1, most=10**6)] = 30
    restarts: Annotated[int, Range(least=1, most=1000)] = 3
    beta: Annotated[float, Range(above=0, most=1)] = 0.3
    growth: Annotated[float, Range(least=1, most=1000)] = 1.2
    tolerance: NotNegative = 1e-4
    prior_photons: Positive = 0.25
    smoothing: Annotated[float, Range(above=0, most=100)] = 0.15
    brightness: bool = True
    fluence_classes: Annotated[int, Range(least=1, most=1000)] = 4
    rings_per_speckle: Annotated[float, Range(above=0, most=100)] = 4.0
    band: Annotated[float, Range(above=0, most=10)] = 1.0
    threshold: Annotated[float, Range(above=0, below=0.1)] = 1e-6
    block_patterns: Annotated[int, Range(least=1, most=10**7)] = 1024
    cache_gib: Annotated[float, Range(least=0, most=10**6)] = 2.0
    seed: Seed = 0
    device: str = "cpu"

    def beta_at(self, iteration: int) -> float:
        """Return β of an iteration of a start, counted from 0."""
        return float(min(1.0, self.beta * self.growth**iteration))
