"""The state of a reconstruction: everything that a run needs to go on."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from xrai.state.round import Round
from xraisim.core.fsc import Resolution
from xraisim.core.halves import numbers
from xraisim.core.merge import Accumulator
from xraisim.core.types import Volume

# What is known of each pattern, and its value before a pattern has been looked at.
_COLUMNS = {
    "orientations": torch.full((4,), torch.nan),
    "encoder_orientations": torch.full((4,), torch.nan),
    "fluence": torch.tensor(1.0),
    "loglik": torch.tensor(0.0, dtype=torch.float64),
    "error_deg": torch.tensor(180.0),
    "mate_margin": torch.tensor(0.0),
    "turned_deg": torch.tensor(180.0),
    "misfit": torch.tensor(0.0),
    "unexplained": torch.tensor(0.0),
    "weight": torch.tensor(1.0),
}


@dataclass(frozen=True)
class TypicalFit:
    """Medians and spreads of ``misfit`` and ``unexplained`` share among the patterns."""

    misfit: tuple[float, float]
    unexplained: tuple[float, float]


@dataclass
class State:
    """Everything that a run needs to go on.

    ``fingerprint``: of the first so many patterns (:mod:`xraisim.core.fingerprint`), by which a run
    that is resumed knows its data. ``extent``: what phasing needs to know of the measurement
    (``particle_diameter_angstrom``, ``s_min_per_angstrom``, ``s_max_per_angstrom``).

    ``columns``: per pattern ``orientations`` and ``encoder_orientations`` [N, 4], NaN before they
    are found, ``fluence``, ``loglik`` (nats), ``error_deg`` (standard error of the pose),
    ``mate_margin`` (nats over the near-symmetric pose, as last scored), ``turned_deg`` (by the last
    round), ``misfit`` (standard deviations), ``unexplained`` share and ``weight`` in the merge [N];
    N ≥ ``seen``, the patterns that have a pose.

    ``volumes``: one per set of patterns, ``volume``: of all of them; ``networks``: the weights of
    those that are implicit, one per set, or what mode ``paper`` trains. ``round``: the one being
    worked on, of which the patterns before ``position`` are in ``sums``; ``rounds``: how many are
    finished, ``finals`` of them with a common volume. ``limit``: the |s| (Å⁻¹) that poses reach,
    ``agreed``: to which the halves agree, ``stalled``: for how many rounds the limit has stood
    still, ``turned``: by how many degrees the last round turned the poses (median),
    ``rivals``: for which share of a probe a search then found likelier poses elsewhere (None: that
    was not asked since the poses were searched),
    ``global_searches``: how often all patterns were searched anew.
    ``early``: of patterns that are read once, how many were posed before the volume stood
    (``stands``), and have not been located again since: they end without an orientation.
    ``resolution``: how far the halves agreed in the last round that kept them apart.
    ``oversampling``: voxels per 1/D of the sums, 0 before it is chosen.
    ``typical_fit``: medians and spreads in the last round, by which outliers are told; ``sharper``:
    whether patterns fitted clearly better than in the round before.
    ``trainer``: the encoder, its optimiser and finished steps; ``proposing``: who proposes in the
    round being worked on, ``grid`` or ``encoder``, empty before it is chosen. ``cells_ranked``: how
    many of the encoder's cells are, ``cells_gap``: to how many nats less they are followed.
    """

    patterns: str
    extent: dict[str, float]
    fingerprint: tuple[int, str] | None = None
    columns: dict[str, Tensor] = field(
        default_factory=lambda: {name: value[None][:0] for name, value in _COLUMNS.items()}
    )
    seen: int = 0
    volumes: list[Volume] = field(default_factory=list)
    volume: Volume | None = None
    networks: list[dict[str, Any]] = field(default_factory=list)
    sums: list[Accumulator] = field(default_factory=list)
    round: Round | None = None
    position: int = 0
    rounds: int = 0
    limit: float = 0.0
    agreed: float = 0.0
    stalled: int = 0
    finals: int = 0
    resolution: Resolution | None = None
    rivals: float | None = None
    global_searches: int = 0
    early: int = 0
    stands: bool = False
    turned: float = 180.0
    oversampling: float = 0.0
    typical_fit: TypicalFit | None = None
    sharper: bool = False
    trainer: dict[str, Any] | None = None
    proposing: str = ""
    cells_ranked: int = 0
    cells_gap: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def grow(self, count: int) -> None:
        """Make room for ``count`` patterns; it grows by halves, so that streams cost little."""
        held = len(self.columns["fluence"])
        if count <= held:
            return
        more = max(count, held * 3 // 2) - held
        for name, value in _COLUMNS.items():
            fresh = value.expand(more, *value.shape)
            self.columns[name] = torch.cat([self.columns[name], fresh])

    def column(self, name: str) -> Tensor:
        """Return a column over the patterns seen."""
        return self.columns[name][: self.seen]

    @property
    def lit(self) -> Tensor:
        """Which of the patterns seen have photons, bool; the fluence of the others is 0."""
        return self.column("fluence") > 0

    @property
    def outliers(self) -> float:
        """The share of the patterns with photons that do not count, or less than half."""
        lit = self.lit
        return float((self.column("weight")[lit] < 0.5).float().mean()) if lit.any() else 0.0

    def outcome(self) -> dict[str, Tensor]:
        """Return the columns over the patterns seen, and with two half-sets the ``half`` of each.

        There is no orientation without photons, and none of a pattern that was posed too early.
        """
        columns = {name: self.column(name) for name in self.columns}
        posed = self.lit & (torch.arange(self.seen) >= self.early)
        for name in ("orientations", "encoder_orientations"):
            columns[name] = torch.where(posed[:, None], columns[name], torch.nan)
        if len(self.volumes) == 2:
            columns["half"] = numbers(self.seen, 2)
        return columns

    def require_volume(self) -> Volume:
        """Return the volume; its absence would be a step out of order."""
        if self.volume is None:
            raise RuntimeError(f"no volume after {self.rounds} rounds")
        return self.volume

    def to(self, device: torch.device) -> None:
        """Move volumes and sums to a device; what is known of the patterns stays on the CPU."""
        self.volumes = [volume.to(device) for volume in self.volumes]
        self.volume = None if self.volume is None else self.volume.to(device)
        self.sums = [sums.to(device) for sums in self.sums]
