"""Settings of phase retrieval."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from baselines.phasing.iterate import REFERENCE
from baselines.phasing.schedule import parse
from xraisim.core.errors import ConfigError
from xraisim.core.settings import NotNegative, OneOf, Positive, Range, Settings, require


@dataclass(frozen=True, kw_only=True)
class StageConfig(Settings):
    """A run of iterations at one resolution.

    ``schedule``: see :func:`baselines.phasing.schedule.parse`. The support is drawn anew every
    ``support_every`` iterations (not during the closing error reduction) from the density blurred
    by a Gaussian whose σ falls linearly from ``blur_voxels`` to one voxel.
    """

    schedule: str
    support_every: Annotated[int, Range(least=1, most=10**6)]
    blur_voxels: Annotated[float, Range(above=0, most=1000)]

    def check(self) -> None:
        """Refuse a schedule that cannot be read."""
        parse(self.schedule, REFERENCE)

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


_MEASURED = ("diameter_angstrom", "s_min_per_angstrom", "s_max_per_angstrom")


def _coarse() -> StageConfig:
    return StageConfig(schedule="2 x (45 hio, 15 er), 40 er", support_every=20, blur_voxels=3.0)


def _fine() -> StageConfig:
    return StageConfig(schedule="60 raar, 30 er", support_every=10, blur_voxels=2.0)


@dataclass(frozen=True, kw_only=True)
class PhasingConfig(Settings):
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

    diameter_angstrom: Positive | None = None
    s_min_per_angstrom: NotNegative | None = None
    s_max_per_angstrom: Positive | None = None
    starts: Annotated[int, Range(least=1, most=10**5)] = 8
    refined: Annotated[int, Range(least=2, most=10**5)] = 6
    coarse_fraction: Annotated[float, Range(above=0, most=1)] = 0.7
    coarse_speckles: Annotated[float, Range(above=0, most=10000)] = 10.0
    coarse: StageConfig = field(default_factory=_coarse)
    fine: StageConfig = field(default_factory=_fine)
    beta: Annotated[float, Range(above=0, most=1)] = 0.9
    threshold: Annotated[float, Range(above=0, below=1)] | None = None
    volume_angstrom3: Positive | None = None
    start_support: Annotated[str, OneOf("autocorrelation", "ball")] = "autocorrelation"
    autocorrelation_threshold: Annotated[float, Range(above=0, below=1)] = 0.02
    free_beyond: bool = True
    twin_overlap: Positive = 0.7
    positivity: bool = True
    background: bool = False
    r_tolerance: Annotated[float, Range(least=1, most=10**6)] = 1.1
    device: str = "cpu"

    def check(self) -> None:
        """Refuse a range without an inside, more refined starts than starts, and two supports."""
        if self.s_max_per_angstrom is not None:
            low, high = self.s_min_per_angstrom or 0.0, self.s_max_per_angstrom
            require(high > low, "s_max_per_angstrom", high, f"above s_min_per_angstrom = {low}")
        require(self.starts >= self.refined, "starts", self.starts, f"≥ refined = {self.refined}")
        if self.threshold is not None and self.volume_angstrom3 is not None:
            raise ConfigError(
                f"threshold is {self.threshold:g} and volume_angstrom3 is "
                f"{self.volume_angstrom3:g}, but one of them makes the support; leave out the other"
            )

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
