"""Settings of the classification: resolution, classes, annealing, restarts."""

from dataclasses import dataclass

from xraisim.core.errors import ConfigError


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"classification setting {name} is {value}; expected {expected}")


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """Everything that determines a classification besides the patterns.

    ``classes``: of patterns with signal; blanks are one more. ``speckles``: reach s_max·D, in
    speckles 1/D of a particle of diameter D; ``d_min_angstrom``: no further than this spacing.
    ``faintest``: patterns with less than this share of a bright pattern's signal are blank.
    β starts at ``beta`` and grows by ``growth`` per iteration to 1; at most ``iterations`` are made
    by each of ``restarts`` random starts, until the log-likelihood per photon gains less than
    ``tolerance`` (nats). ``prior_photons``: pull of every point of an average to its ring's mean,
    in photons; ``smoothing``: standard deviation of the kernel that averages are smoothed with, in
    1/D. ``brightness``: a class also has a distribution of fluences. The rest is as in
    :class:`baselines.emc.EmcConfig`.
    """

    classes: int = 16
    speckles: float = 8.0
    d_min_angstrom: float | None = None
    faintest: float = 0.05
    iterations: int = 30
    restarts: int = 3
    beta: float = 0.3
    growth: float = 1.2
    tolerance: float = 1e-4
    prior_photons: float = 0.25
    smoothing: float = 0.15
    brightness: bool = True
    fluence_classes: int = 4
    rings_per_speckle: float = 4.0
    band: float = 1.0
    threshold: float = 1e-6
    block_patterns: int = 1024
    cache_gib: float = 2.0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("classes", "iterations", "restarts", "fluence_classes", "block_patterns"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("speckles", "prior_photons", "smoothing", "rings_per_speckle", "band"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        d_min = self.d_min_angstrom
        _require(d_min is None or d_min > 0, "d_min_angstrom", d_min, "above 0")
        _require(0 < self.faintest < 1, "faintest", self.faintest, "between 0 and 1")
        _require(0 < self.beta <= 1, "beta", self.beta, "above 0, up to 1")
        _require(self.growth >= 1, "growth", self.growth, "at least 1")
        _require(self.tolerance >= 0, "tolerance", self.tolerance, "0 or more")
        _require(0 < self.threshold < 0.1, "threshold", self.threshold, "0 … 0.1")
        _require(self.cache_gib >= 0, "cache_gib", self.cache_gib, "0 or more")

    def beta_at(self, iteration: int) -> float:
        """Return β of an iteration of a start, counted from 0."""
        return float(min(1.0, self.beta * self.growth**iteration))
