"""Settings of phase retrieval."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from baselines.phasing.iterate import REFERENCE
from baselines.phasing.schedule import parse
from xraisim.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """A run of iterations at one resolution.

    ``schedule``: see :func:`baselines.phasing.schedule.parse`. The support is drawn anew every
    ``support_every`` iterations (not during the closing error reduction) from the density blurred
    by a Gaussian whose σ falls linearly from ``blur_voxels`` to one voxel.
    """

    schedule: str
    support_every: int
    blur_voxels: float

    def __post_init__(self) -> None:
        parse(self.schedule, REFERENCE)
        _require(self.support_every >= 1, "support_every", self.support_every, "at least 1")
        _require(self.blur_voxels > 0, "blur_voxels", self.blur_voxels, "positive")

    @property
    def steps(self) -> list[str]:
        """The step names, one per iteration."""
        return parse(self.schedule, REFERENCE)

    @property
    def last_support(self) -> int:
        """Number of the last iteration before the closing error reduction."""
        steps = self.steps
        while steps and steps[-1] == "er":
            steps.pop()
        return len(steps)


START_SUPPORTS = ("autocorrelation", "ball")
_MEASURED = ("diameter_angstrom", "s_min_per_angstrom", "s_max_per_angstrom")


def _coarse() -> StageConfig:
    return StageConfig(schedule="2 x (45 hio, 15 er), 40 er", support_every=20, blur_voxels=3.0)


def _fine() -> StageConfig:
    return StageConfig(schedule="60 raar, 30 er", support_every=10, blur_voxels=2.0)


@dataclass(frozen=True, kw_only=True)
class PhasingConfig:
    """How an intensity is phased.

    ``diameter_angstrom``: of the particle, roughly (default: estimated from the autocorrelation);
    too large is safer than too small. ``s_min_per_angstrom`` … ``s_max_per_angstrom``: where the
    intensity is known (default: from the centre to the edge of the volume). ``free_beyond``: leave
    F free beyond the edge while iterating, so that the density need not ring.

    ``starts`` random densities are phased at a coarse resolution (``coarse_fraction`` of s_max, or
    ``coarse_speckles``/diameter if that is finer); the ``refined`` of lowest R-factor go on to the
    full resolution, and those within ``r_tolerance`` times the best are averaged. ``beta``: of HIO,
    RAAR and the difference map. ``positivity``: no density below zero.

    ``start_support``: ``"autocorrelation"``, half its region above ``autocorrelation_threshold``
    (a ball where that is smaller), or ``"ball"`` of the diameter. Later supports are where the
    blurred density exceeds ``threshold`` of its maximum (default: chosen by held-out amplitudes,
    :mod:`baselines.phasing.evidence`), or the ``volume_angstrom3`` of highest density if that is
    given. ``background``: fit one that is constant in each shell.
    ``twin_overlap``: starts that are their own inverse to more than that are tried again.
    """

    diameter_angstrom: float | None = None
    s_min_per_angstrom: float | None = None
    s_max_per_angstrom: float | None = None
    starts: int = 8
    refined: int = 6
    coarse_fraction: float = 0.7
    coarse_speckles: float = 10.0
    coarse: StageConfig = field(default_factory=_coarse)
    fine: StageConfig = field(default_factory=_fine)
    beta: float = 0.9
    threshold: float | None = None
    volume_angstrom3: float | None = None
    start_support: str = "autocorrelation"
    autocorrelation_threshold: float = 0.02
    free_beyond: bool = True
    twin_overlap: float = 0.7
    positivity: bool = True
    background: bool = False
    r_tolerance: float = 1.1
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in _MEASURED:
            value = getattr(self, name)
            _require(value is None or value >= 0, name, value, "≥ 0")
        if self.s_max_per_angstrom is not None:
            low, high = self.s_min_per_angstrom or 0.0, self.s_max_per_angstrom
            _require(high > low, "s_max_per_angstrom", high, f"above s_min_per_angstrom = {low}")
        _require(self.refined >= 2, "refined", self.refined, "at least 2 (a PRTF compares starts)")
        _require(self.starts >= self.refined, "starts", self.starts, f"≥ refined = {self.refined}")
        _require(0 < self.coarse_fraction <= 1, "coarse_fraction", self.coarse_fraction, "0 … 1")
        _require(0 < self.beta <= 1, "beta", self.beta, "between 0 and 1")
        threshold = self.threshold
        _require(threshold is None or 0 < threshold < 1, "threshold", threshold, "between 0 and 1")
        volume = self.volume_angstrom3
        _require(volume is None or volume > 0, "volume_angstrom3", volume, "positive")
        known = self.start_support in START_SUPPORTS
        _require(known, "start_support", self.start_support, " or ".join(START_SUPPORTS))
        limit = self.autocorrelation_threshold
        _require(0 < limit < 1, "autocorrelation_threshold", limit, "between 0 and 1")
        _require(self.twin_overlap > 0, "twin_overlap", self.twin_overlap, "positive")
        _require(self.r_tolerance >= 1, "r_tolerance", self.r_tolerance, "at least 1")

    def completed(self, attributes: Mapping[str, Any]) -> "PhasingConfig":
        """Return these settings with what is unset taken from a volume's attributes.

        Looked for: ``particle_diameter_angstrom`` (or ``diameter_angstrom``),
        ``s_min_per_angstrom``, ``s_max_per_angstrom``.
        """
        known = {"diameter_angstrom": attributes.get("particle_diameter_angstrom"), **attributes}
        unset = [name for name in _MEASURED if getattr(self, name) is None]
        found: dict[str, Any] = {
            name: float(known[name]) for name in unset if known.get(name) is not None
        }
        return replace(self, **found)

    @property
    def chooses_threshold(self) -> bool:
        """Whether the support's threshold is chosen by held-out amplitudes."""
        return self.threshold is None and self.volume_angstrom3 is None

    @property
    def iterations(self) -> int:
        """Iterations of all starts together, which is what ``progress`` counts to."""
        return self.starts * len(self.coarse.steps) + self.refined * len(self.fine.steps)


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"phasing setting {name} is {value}; expected {expected}")
