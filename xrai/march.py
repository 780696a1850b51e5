"""Poses of blocks of patterns: from nothing, or again from the ones they have.

A pose refined to |s| reaches the right speckle a little beyond s; merging then sharpens the volume
there, and the next round uses it. So the resolution marches outwards in small geometric steps.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from xrai.config import TrainConfig
from xrai.poses import GridSearch, Poses, refine, refine_hypotheses, refine_mates
from xrai.rounds import ladder
from xrai.stream import PatternStream
from xraisim.core.processes import ALONE, Processes
from xraisim.core.random import generator
from xraisim.core.symmetry import point_group
from xraisim.core.types import Photons, Pixels, Volume

_AT_REST = 0.1  # of the longest step: poses that turn by less have arrived
_DESCENT = 1.4  # ratio of the limits through which a pose found at low resolution is refined


@runtime_checkable
class Proposals(Protocol):
    """Where poses of a pattern that nobody has seen may lie."""

    def best(self, photons: Photons, keep: int) -> Tensor:
        """Return the ``keep`` most promising quaternions [n, keep, 4], the best first."""


class March:
    """One stream of patterns and how its poses are found."""

    def __init__(
        self,
        stream: PatternStream,
        config: TrainConfig,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self.stream, self.config, self.device, self.processes = stream, config, device, processes
        self.pixels = stream.pixels.to(device)
        self.sets = 2 if config.rounds.halves else 1
        group = point_group(config.symmetry)
        self.group = group.to(device) if len(group) > 1 else None

    def is_mine(self, rows: slice) -> bool:
        """Whether a block is among this process's share of the patterns."""
        return rows.start // self.config.block % self.processes.count == self.processes.rank

    @property
    def s_edge(self) -> float:
        """The outermost pixel's |s| in Å⁻¹."""
        return float(self.pixels.radius[-1])

    @property
    def s_search(self) -> float:
        """The |s| (Å⁻¹) to which poses are first searched."""
        return min(self.config.search.reach / self.stream.diameter_angstrom, self.s_edge)

    def pixels_within(self, s_max: float) -> Pixels:
        """Return the pixels to the limit ``s_max`` (Å⁻¹)."""
        return self.pixels.first(self.pixels.count_below(s_max * (1 + 1e-6)))

    def max_step(self, s_max: float) -> float:
        """Return the longest Newton step in radians at a resolution limit."""
        return self.config.refine.max_step / (s_max * self.stream.diameter_angstrom)

    def grid(self, volume: Volume, name: str) -> GridSearch:
        """Return an exhaustive search of a volume, its grid turned at random by ``name``."""
        random = generator(self.config.seed, name, self.device)
        pixels = self.pixels_within(self.s_search)
        return GridSearch(volume, pixels, self.config.search.rotations, random)

    def locate(self, volume: Volume, photons: Photons, proposals: Proposals, s_max: float) -> Poses:
        """Find poses from nothing, to the resolution ``s_max``: propose, refine, descend."""
        low = self.s_search
        poses = refine_hypotheses(
            volume,
            self.pixels_within(low),
            photons,
            proposals.best(photons, self.config.search.hypotheses),
            3,
            self.max_step(low),
        )
        return self.descend(volume, photons, poses, ladder(low, s_max, _DESCENT)[1:])

    def descend(self, volume: Volume, photons: Photons, poses: Poses, limits: list[float]) -> Poses:
        """Refine poses through rising resolution limits against a finished volume."""
        for s_max in limits:
            poses = self.again(volume, photons, poses.quaternion, s_max)
        return poses

    def at_rest(self, turned_deg: float, s_max: float) -> bool:
        """Whether a round turned the poses so little that they need hardly be refined again."""
        return math.radians(turned_deg) < _AT_REST * self.max_step(s_max)

    def again(
        self,
        volume: Volume,
        photons: Photons,
        start: Tensor,
        s_max: float,
        *,
        mates: bool = False,
        steps: int | None = None,
    ) -> Poses:
        """Refine poses [n, 4] to a limit; with ``mates`` the near-symmetric poses compete.

        ``steps``: Newton steps, by default as many as the configuration says.
        """
        arguments = (volume, self.pixels_within(s_max), photons)
        how = (steps or self.config.refine.iterations, self.max_step(s_max))
        poses = refine(*arguments, start, *how)
        return poses.better(refine_mates(*arguments, poses, *how)) if mates else poses
