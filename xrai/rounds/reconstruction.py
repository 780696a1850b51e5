"""A reconstruction at work, and a round of it: what the steps of both have in common."""

from dataclasses import dataclass

import torch
from torch import Tensor

from xrai.poses.finder import PoseFinder
from xrai.state.monitor import Monitor
from xrai.state.round import FINAL, Round
from xrai.state.state import State
from xraisim.core.types import Photons, Volume


@dataclass(frozen=True)
class Reconstruction:
    """The patterns and how their poses are found, what is known so far, and who is told."""

    finder: PoseFinder
    state: State
    monitor: Monitor

    def at(self, round_: Round) -> "ActiveRound":
        """Return the reconstruction at work on a round."""
        return ActiveRound(self.finder, self.state, self.monitor, round_)


@dataclass(frozen=True)
class ActiveRound(Reconstruction):
    """A reconstruction at work on one round."""

    round: Round

    @property
    def rows(self) -> slice:
        """The patterns of the round."""
        return slice(self.round.first, self.round.stop)

    @property
    def references(self) -> list[Volume]:
        """The volume that each set is posed against: in the end all patterns' one."""
        if self.round.kind == FINAL:
            return [self.state.require_volume()] * self.finder.sets
        return self.state.volumes

    def lit(self, rows: slice) -> Tensor:
        """Return the numbers of those patterns among ``rows`` that have photons."""
        return rows.start + torch.nonzero(self.state.columns["fluence"][rows] > 0)[:, 0]


@dataclass(frozen=True)
class Block:
    """Patterns that were read together, and their numbers."""

    rows: slice
    photons: Photons
