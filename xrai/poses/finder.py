"""Poses of blocks of patterns: from nothing, or again from the ones they have.

A pose refined to |s| reaches the right speckle a little beyond s; merging then sharpens the volume
there, and the next round uses it. So the resolution marches outwards in small geometric steps.
"""

import math
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from xrai.config import TrainConfig
from xrai.poses.mates import refine_hypotheses, score_mates
from xrai.poses.refine import Poses, refine
from xrai.poses.search import GridSearch, prune
from xrai.sources.stream import PatternStream
from xraisim.core import so3
from xraisim.core.likelihood import candidate_loglik
from xraisim.core.processes import ALONE, Processes
from xraisim.core.random import generator
from xraisim.core.symmetry import angle_modulo, point_group
from xraisim.core.types import Photons, Pixels, Volume

_AT_REST = 0.03  # of the longest step: poses that turn by less have arrived
_FAR = 1.0  # of the longest step: proposals nearer to the pose held are the same pose
_DESCENT = 1.4  # ratio of the limits through which a pose found at low resolution is refined


@runtime_checkable
class Proposals(Protocol):
    """Where poses of a pattern may lie, judged on |s| ≤ ``s_max`` (Å⁻¹)."""

    @property
    def s_max(self) -> float:
        """The |s| of the outermost pixel that was looked at."""

    def best(self, photons: Photons, keep: int) -> Tensor:
        """Return the ``keep`` most promising quaternions [n, keep, 4], the best first."""


class Cells(Proposals, Protocol):
    """Proposals that know which are worth following."""

    def starts(self, photons: Photons) -> list[tuple[Tensor, Tensor]]:
        """Return pattern numbers [m] and quaternions [m, 4] to start from, first those of all."""


class PoseFinder:
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

    @property
    def s_again(self) -> float:
        """The |s| (Å⁻¹) to which poses are searched again."""
        return min(self.config.search.again_reach / self.stream.diameter_angstrom, self.s_edge)

    def grid(self, volume: Volume, name: str) -> GridSearch:
        """Return an exhaustive search of a volume, its grid turned at random by ``name``."""
        return self._grid(volume, name, self.s_search, self.config.search.rotations)

    def wide_grid(self, volume: Volume, name: str, s_max: float) -> GridSearch:
        """Return a finer one that looks farther, but not beyond ``s_max``."""
        reach = min(self.s_again, s_max)
        return self._grid(volume, name, reach, self.config.search.again_rotations)

    def _grid(self, volume: Volume, name: str, s_max: float, count: int) -> GridSearch:
        random = generator(self.config.seed, name, self.device)
        return GridSearch(volume, self.pixels_within(s_max), count, random)

    def locate(self, volume: Volume, photons: Photons, proposals: Proposals, s_max: float) -> Poses:
        """Find poses from nothing, to the resolution ``s_max``: propose, refine, descend."""
        low = proposals.s_max
        poses = refine_hypotheses(
            volume,
            self.pixels_within(low),
            photons,
            proposals.best(photons, self.config.search.hypotheses),
            3,
            self.max_step(low),
        )
        return self.refine_outwards(volume, photons, poses, ladder(low, s_max, _DESCENT)[1:])

    def locate_in_cells(
        self, volume: Volume, photons: Photons, proposals: "Cells", s_max: float
    ) -> list[Poses]:
        """Lead the likeliest cells to the resolution ``s_max``.

        The first poses are those of the likeliest; of each further one only some patterns have
        another, and the others a log-likelihood of −∞. A third of what :meth:`locate` costs where
        one is followed. The mate of a pose competes as it is, unrefined, at every limit.
        """
        (_, first), *others = proposals.starts(photons)
        low = proposals.s_max
        found = [self._led(volume, photons, first, low, s_max)]
        if not others:
            return found
        every, starts = (torch.cat(column) for column in zip(*others, strict=True))
        led = self._led(volume, photons.take(every.cpu().numpy()), starts, low, s_max)
        nowhere = replace(found[0], loglik=torch.full_like(found[0].loglik, -math.inf))
        rows = torch.arange(len(every), device=every.device).split([len(one) for one, _ in others])
        found += [
            nowhere.changed(index, led.at(some))
            for (index, _), some in zip(others, rows, strict=True)
        ]
        return found

    def _led(
        self, volume: Volume, photons: Photons, start: Tensor, low: float, s_max: float
    ) -> Poses:
        poses = self.refine(volume, photons, start, low)
        for limit in ladder(low, s_max, _DESCENT)[1:] or [s_max]:
            mate = so3.in_plane_mate(poses.quaternion)
            both = torch.stack([poses.quaternion, mate], 1)
            loglik, _ = candidate_loglik(volume, self.pixels_within(limit), photons, both)
            likelier = torch.where((loglik[:, 1] > loglik[:, 0])[:, None], mate, poses.quaternion)
            margin = (loglik[:, 1] - loglik[:, 0]).abs()
            poses = self.refine(volume, photons, likelier, limit, margin=margin)
        return poses

    def apart(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the angles (radians) between quaternions [n, 4], modulo the point group."""
        return angle_modulo(self.group, first, second)

    def elsewhere(self, rivals: Tensor, held: Tensor, s_max: float) -> Tensor:
        """Return the numbers of the quaternions [n, 4] that are no refinement of those held."""
        far = self.apart(rivals, held) > _FAR * self.max_step(s_max)
        return torch.nonzero(far)[:, 0]

    def likelier(
        self,
        volume: Volume,
        photons: Photons,
        held: Poses,
        rivals: Tensor,
        s_low: float,
        s_max: float,
    ) -> Poses:
        """Return the likelier of poses held at ``s_max`` and of rivals [n, 4] found at ``s_low``.

        Only rivals that lie elsewhere are refined through the limits in between.
        """
        index = self.elsewhere(rivals, held.quaternion, s_max)
        if not len(index):
            return held
        some, mine = photons.take(index.cpu().numpy()), held.at(index)
        unknown = torch.zeros_like(mine.mate_margin)
        found = replace(mine, quaternion=rivals[index].contiguous(), mate_margin=unknown)
        found = self.refine_outwards(volume, some, found, ladder(s_low, s_max, _DESCENT))
        return held.changed(index, mine.better(found))

    def search_again(
        self, volume: Volume, photons: Photons, held: Poses, proposals: Proposals, s_max: float
    ) -> Poses:
        """Search again for poses held at ``s_max``; a rival has to be likelier, low and high."""
        low = proposals.s_max
        pixels, keep = self.pixels_within(low), self.config.search.hypotheses
        best = proposals.best(photons, keep)
        found = refine_hypotheses(volume, pixels, photons, best, 3, self.max_step(low))
        both = torch.stack([held.quaternion, found.quaternion], 1)
        rivals = prune(volume, pixels, photons, both, 1)[:, 0]
        return self.likelier(volume, photons, held, rivals, low, s_max)

    def refine_outwards(
        self, volume: Volume, photons: Photons, poses: Poses, limits: list[float]
    ) -> Poses:
        """Refine poses, and mates not decided, through rising limits against a finished volume."""
        for s_max in limits:
            margin = poses.mate_margin
            poses = self.refine(volume, photons, poses.quaternion, s_max, margin=margin, mates=True)
        return poses

    def at_rest(self, turned_deg: float, s_max: float) -> bool:
        """Whether a round turned the poses so little that they need hardly be refined again."""
        return math.radians(turned_deg) < _AT_REST * self.max_step(s_max)

    def refine(
        self,
        volume: Volume,
        photons: Photons,
        start: Tensor,
        s_max: float,
        *,
        margin: Tensor | None = None,
        mates: bool = False,
        steps: int | None = None,
    ) -> Poses:
        """Refine poses [n, 4] to a limit.

        ``margin`` [n]: by how many nats they beat their near-symmetric mates so far (0); with
        ``mates`` those that are not decided compete. ``steps``: Newton steps, by default as many as
        the configuration says.
        """
        arguments = (volume, self.pixels_within(s_max), photons)
        how = (steps or self.config.refine.iterations, self.max_step(s_max))
        poses = refine(*arguments, start, *how)
        if margin is not None:
            poses = replace(poses, mate_margin=margin.to(poses.loglik))
        return score_mates(*arguments, poses, *how) if mates else poses


def ladder(s_start: float, s_edge: float, ratio: float) -> list[float]:
    """Return |s| limits (Å⁻¹) from ``s_start`` to ``s_edge``, in equal ratios ≤ ``ratio``."""
    if s_start >= s_edge:
        return [s_edge]
    steps = math.ceil(math.log(s_edge / s_start) / math.log(ratio))
    return [s_start * (s_edge / s_start) ** (i / steps) for i in range(steps)] + [s_edge]
